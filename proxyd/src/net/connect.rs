//! Connections to servers.
//!
//! Absent on purpose: choosing the server, retries, TLS (the stream's `connect` phase has them).

use crate::config::model::Source;
use crate::mux::wire::Wire;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use tokio::net::{TcpSocket, UnixStream};

/// Where to connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// TCP.
    Inet(SocketAddr),
    /// A path.
    Unix(PathBuf),
    /// An abstract name.
    Abstract(Vec<u8>),
}

/// How to connect.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Local address and interface.
    pub source: Option<Source>,
    /// Local address taken from the client (`usesrc`).
    pub spoof: Option<SocketAddr>,
    /// TCP keep-alive (`option srvtcpka`).
    pub keepalive: bool,
    /// Close with RST (`option nolinger`).
    pub no_linger: bool,
    /// `tcp-ut`.
    pub user_timeout: Option<std::time::Duration>,
}

/// Connects; the caller bounds the time.
pub async fn connect(target: &Target, options: &Options) -> io::Result<Wire> {
    match target {
        Target::Inet(address) => {
            let socket = socket(*address, options)?;
            let stream = TcpSocket::from_std_stream(socket.into()).connect(*address).await?;
            Ok(Wire::Tcp(stream))
        }
        Target::Unix(path) => Ok(Wire::Unix(UnixStream::connect(path).await?)),
        Target::Abstract(name) => {
            use std::os::linux::net::SocketAddrExt;
            let address = std::os::unix::net::SocketAddr::from_abstract_name(name)?;
            let stream = std::os::unix::net::UnixStream::connect_addr(&address)?;
            stream.set_nonblocking(true)?;
            Ok(Wire::Unix(UnixStream::from_std(stream)?))
        }
    }
}

fn socket(address: SocketAddr, options: &Options) -> io::Result<Socket> {
    let domain = Domain::for_address(address);
    let socket = Socket::new(domain, Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    socket.set_tcp_nodelay(true)?;
    if options.keepalive {
        socket.set_keepalive(true)?;
    }
    if options.no_linger {
        socket.set_linger(Some(std::time::Duration::ZERO))?;
    }
    if options.user_timeout.is_some() {
        socket.set_tcp_user_timeout(options.user_timeout)?;
    }
    if let Some(source) = &options.source {
        if let Some(device) = &source.interface {
            socket.bind_device(Some(device.as_bytes()))?;
        }
        if let Some(spoof) = options.spoof {
            socket.set_ip_transparent_v4(true)?;
            socket.bind(&SockAddr::from(spoof))?;
        } else {
            bind(&socket, source, address)?;
        }
    }
    Ok(socket)
}

fn bind(socket: &Socket, source: &Source, to: SocketAddr) -> io::Result<()> {
    let mut local = source.address;
    if local.is_ipv4() != to.is_ipv4() || (local.ip().is_unspecified() && local.port() == 0) {
        return Ok(());
    }
    socket.set_reuse_address(true)?;
    let Some(high) = source.port_high else { return socket.bind(&SockAddr::from(local)) };
    let mut last = io::Error::from(io::ErrorKind::AddrInUse);
    for port in local.port()..=high {
        local.set_port(port);
        match socket.bind(&SockAddr::from(local)) {
            Ok(()) => return Ok(()),
            Err(e) => last = e,
        }
    }
    Err(last)
}
