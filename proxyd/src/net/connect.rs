//! Connections to servers.
//!
//! Absent on purpose: choosing the server, retries, TLS (the stream's `connect` phase has them).

use crate::config::model::Source;
use crate::mux::wire::Wire;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream, UnixStream};

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
    /// `namespace`.
    pub namespace: Option<String>,
    /// `tfo`.
    pub fast_open: bool,
    /// `socks4`: the proxy that connects for us.
    pub socks4: Option<SocketAddr>,
    /// `tune.rcvbuf.server`, `tune.sndbuf.server`.
    pub buffers: super::Buffers,
}

/// Connects; the caller bounds the time.
pub async fn connect(target: &Target, options: &Options) -> io::Result<Wire> {
    match target {
        Target::Inet(address) => {
            let next = options.socks4.unwrap_or(*address);
            let socket = match &options.namespace {
                None => socket(next, options)?,
                Some(namespace) => inside(namespace.clone(), next, options.clone()).await?,
            };
            let mut stream = TcpSocket::from_std_stream(socket.into()).connect(next).await?;
            if options.socks4.is_some() {
                socks4(&mut stream, *address).await?;
            }
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

/// A socket of another network namespace; it is made on a thread that may enter it.
async fn inside(namespace: String, to: SocketAddr, options: Options) -> io::Result<Socket> {
    let work = move || sys::netns::run_in(&namespace, move || socket(to, &options))?;
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

/// Asks a SOCKS 4 proxy for a connection; it knows IPv4 alone.
async fn socks4(stream: &mut TcpStream, to: SocketAddr) -> io::Result<()> {
    const GRANTED: u8 = 90;
    let SocketAddr::V4(to) = to else {
        return Err(io::Error::new(io::ErrorKind::AddrNotAvailable, "SOCKS 4 has no IPv6"));
    };
    let mut request = vec![4, 1];
    request.extend_from_slice(&to.port().to_be_bytes());
    request.extend_from_slice(&to.ip().octets());
    request.extend_from_slice(b"HAProxy\0");
    stream.write_all(&request).await?;
    let mut answer = [0; 8];
    stream.read_exact(&mut answer).await?;
    if answer[1] == GRANTED {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::ConnectionRefused, "SOCKS 4 proxy refused"))
}

fn socket(address: SocketAddr, options: &Options) -> io::Result<Socket> {
    let domain = Domain::for_address(address);
    let socket = Socket::new(domain, Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    socket.set_tcp_nodelay(true)?;
    options.buffers.apply(&socket);
    if options.keepalive {
        socket.set_keepalive(true)?;
    }
    if options.no_linger {
        socket.set_linger(Some(std::time::Duration::ZERO))?;
    }
    if options.fast_open {
        sys::tcp::fast_open_connect(&socket)?;
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
