//! Listening sockets of `bind` lines: made once, kept by key over reloads.
//!
//! Invariant: a listening descriptor is never closed with connections in its queue while a generation still wants
//! its address; the key is the address with what the kernel binds by.
//!
//! Absent on purpose: accepting (that is [`crate::stream::accept`]'s).

use crate::config::model::{Bind, BindAddress};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::io;
use std::os::fd::OwnedFd;

/// Default length of the accept queue, bounded by the kernel's own limit.
const BACKLOG_DEFAULT: i32 = 4096;

/// [`open`] for an address that need not be on the host (IP_FREEBIND): vrrpd holds it, or will.
pub fn open_free(bind: &Bind, default_backlog: Option<u32>) -> Result<OwnedFd, (&'static str, io::Error)> {
    inet(bind, default_backlog, true)
}

/// Makes the listening socket of a bind line. The error's text is what haproxy puts before the address.
pub fn open(bind: &Bind, default_backlog: Option<u32>) -> Result<OwnedFd, (&'static str, io::Error)> {
    match &bind.address {
        BindAddress::Inet(_) => inet(bind, default_backlog, false),
        BindAddress::Unix(path) => {
            if path.is_dir() {
                let denied = io::Error::from_raw_os_error(libc::EPERM);
                return Err(("error when trying to preserve previous UNIX socket", denied));
            }
            let temp = path.with_extension(format!("{}.tmp", std::process::id()));
            let socket = unix(&SockAddr::unix(&temp).map_err(|e| ("cannot bind UNIX socket", e))?)?;
            if let Some(mode) = bind.unix.mode {
                let _ = std::fs::set_permissions(&temp, permissions(mode));
            }
            if bind.unix.uid.is_some() || bind.unix.gid.is_some() {
                std::os::unix::fs::chown(&temp, bind.unix.uid, bind.unix.gid)
                    .map_err(|e| ("cannot change UNIX socket ownership", e))?;
            }
            listen(&socket, bind, default_backlog)?;
            // The rename takes the place of an older process's socket without a gap.
            std::fs::rename(&temp, path).map_err(|e| ("error when trying to bind UNIX socket", e))?;
            Ok(socket.into())
        }
        BindAddress::Abstract(name) => {
            use std::os::linux::net::SocketAddrExt;
            let address = std::os::unix::net::SocketAddr::from_abstract_name(name)
                .map_err(|e| ("invalid abstract name", e))?;
            let listener = std::os::unix::net::UnixListener::bind_addr(&address)
                .map_err(|e| ("cannot bind UNIX socket", e))?;
            listener.set_nonblocking(true).map_err(|e| ("cannot make socket non-blocking", e))?;
            Ok(listener.into())
        }
        BindAddress::Fd(fd) => {
            let fd = sys::inherit::dup(*fd).map_err(|e| ("cannot use inherited descriptor", e))?;
            let socket = Socket::from(fd);
            socket.set_nonblocking(true).map_err(|e| ("cannot make socket non-blocking", e))?;
            Ok(socket.into())
        }
        BindAddress::Sockpair(_) => {
            Err(("sockpair@ is not supported", io::Error::from(io::ErrorKind::Unsupported)))
        }
    }
}

fn permissions(mode: u32) -> std::fs::Permissions {
    use std::os::unix::fs::PermissionsExt;
    std::fs::Permissions::from_mode(mode)
}

fn unix(address: &SockAddr) -> Result<Socket, (&'static str, io::Error)> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None)
        .map_err(|e| ("cannot create UNIX socket", e))?;
    socket.bind(address).map_err(|e| ("cannot bind UNIX socket", e))?;
    Ok(socket)
}

fn inet(bind: &Bind, default_backlog: Option<u32>, free: bool) -> Result<OwnedFd, (&'static str, io::Error)> {
    let Some(namespace) = &bind.namespace else { return made(bind, default_backlog, free) };
    let inside = bind.clone();
    sys::netns::run_in(namespace, move || made(&inside, default_backlog, free))
        .map_err(|e| ("cannot enter the network namespace", e))?
}

fn made(bind: &Bind, default_backlog: Option<u32>, free: bool) -> Result<OwnedFd, (&'static str, io::Error)> {
    let BindAddress::Inet(address) = &bind.address else {
        return Err(("not an address", io::ErrorKind::InvalidInput.into()));
    };
    let domain = Domain::for_address(*address);
    let socket = Socket::new(domain, Type::STREAM.nonblocking(), Some(Protocol::TCP))
        .map_err(|e| ("cannot create listening socket", e))?;
    let fault = |text| move |e| (text, e);
    socket.set_reuse_address(true).map_err(fault("cannot do so_reuseaddr"))?;
    let _ = socket.set_reuse_port(true);
    // Inherited by what is accepted: one system call less per connection.
    let _ = socket.set_tcp_nodelay(true);
    if address.is_ipv6() {
        // haproxy leaves `::` to the host's default unless told.
        if bind.v4v6 || bind.v6only {
            socket.set_only_v6(bind.v6only).map_err(fault("cannot set IPV6_V6ONLY"))?;
        }
    }
    if bind.transparent {
        let set =
            if address.is_ipv6() { socket.set_freebind_v6(true) } else { socket.set_ip_transparent_v4(true) };
        set.map_err(fault("cannot make listening socket transparent"))?;
    }
    if free {
        let set = if address.is_ipv6() { socket.set_freebind_v6(true) } else { socket.set_freebind_v4(true) };
        set.map_err(fault("cannot bind ahead of the address"))?;
    }
    if let Some(device) = &bind.interface {
        socket.bind_device(Some(device.as_bytes())).map_err(fault("cannot bind listener to device"))?;
    }
    if let Some(mss) = bind.mss {
        socket.set_tcp_mss(mss.unsigned_abs()).map_err(fault("cannot set MSS"))?;
    }
    if let Some(timeout) = bind.tcp_ut {
        socket.set_tcp_user_timeout(Some(timeout)).map_err(fault("cannot set TCP User Timeout"))?;
    }
    if bind.defer_accept {
        // Without it connections are accepted sooner, which harms nobody.
        let _ = sys::tcp::defer_accept(&socket, 1);
    }
    if bind.tfo {
        let queue = bind.backlog.or(default_backlog).unwrap_or(BACKLOG_DEFAULT as u32);
        sys::tcp::fast_open(&socket, queue).map_err(fault("cannot enable TCP_FASTOPEN"))?;
    }
    socket.bind(&SockAddr::from(*address)).map_err(fault("cannot bind socket"))?;
    listen(&socket, bind, default_backlog)?;
    Ok(socket.into())
}

fn listen(socket: &Socket, bind: &Bind, default: Option<u32>) -> Result<(), (&'static str, io::Error)> {
    // 0 says nothing.
    let told = bind.backlog.filter(|n| *n > 0).or(default);
    let backlog = told.map_or(BACKLOG_DEFAULT, |n| i32::try_from(n).unwrap_or(i32::MAX));
    socket.listen(backlog).map_err(|e| ("cannot listen to socket", e))
}

/// What makes two bind lines the same socket over a reload.
pub fn key(bind: &Bind) -> String {
    format!(
        "{:?}|{:?}|{:?}|{}|{}",
        bind.address, bind.interface, bind.namespace, bind.transparent, bind.v6only
    )
}
