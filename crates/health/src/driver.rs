//! The shell of all probes: sockets, TLS, child processes and files on tokio.
//!
//! Invariant: every wait is bounded by the core's deadline, and dropping the future leaves nothing behind (sockets
//! close, a program's process group is killed).
//!
//! Absent on purpose: decisions; cores in `probe/` make them.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream, UdpSocket, UnixStream};
use tokio::time::timeout_at;
use tokio_rustls::TlsConnector;

use crate::outcome::error_text;
use crate::probe::process::{Ending, Process};
use crate::probe::{
    Effect, Fault, Input, Link, Probe, agent, datagram, dns, file, http, mail, process, steps,
};
use crate::{Check, Endpoint, Outcome, ProxyHeader, Source, Spec};

/// How much is read at once.
const READ_SIZE: usize = 8 << 10;

/// Where a core names no deadline of its own (it always should).
const LAST_RESORT: Duration = Duration::from_hours(1);

/// Carries out one check.
///
/// The future may be dropped at any time. It must run on a tokio runtime with I/O and time.
pub async fn run(spec: &Spec) -> Outcome {
    run_holding(spec).await.0
}

/// A check's connection, open until this is dropped: servers may take its end for the sign that they were heard.
#[must_use]
pub struct Held(#[expect(dead_code, reason = "kept for its end alone")] Option<Box<dyn Wire>>);

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Held")
    }
}

/// [`run`], with the connection that brought the outcome.
pub async fn run_holding(spec: &Spec) -> (Outcome, Held) {
    let started = Instant::now();
    let mut held = None;
    let mut outcome = match &spec.check {
        Check::Steps(script) => stream(spec, &mut steps::Core::new(spec, script), &mut held).await,
        Check::Get(get) => stream(spec, &mut http::GetCore::new(spec, get), &mut held).await,
        Check::Mail(mail) => stream(spec, &mut mail::Core::new(spec, mail), &mut held).await,
        Check::Agent(agent) => stream(spec, &mut agent::Core::new(spec, agent), &mut held).await,
        Check::Dns(dns) => datagram(spec, &mut dns::Core::new(spec, dns, rand::random())).await,
        Check::Udp(udp) => datagram(spec, &mut datagram::Core::udp(spec, udp)).await,
        Check::Ping => ping(spec).await,
        Check::Process(program) => {
            process::outcome(program, &run_process(program, spec.connect_timeout).await)
        }
        Check::File(file) => read_file(file),
    };
    outcome.duration = started.elapsed();
    (outcome, Held(held))
}

trait Wire: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Wire for T {}

fn instant(deadline: Option<Instant>) -> tokio::time::Instant {
    deadline.map_or_else(|| tokio::time::Instant::now() + LAST_RESORT, tokio::time::Instant::from_std)
}

/// Runs a core on streams until it is done.
async fn stream(spec: &Spec, core: &mut (dyn Probe + Send), wire: &mut Option<Box<dyn Wire>>) -> Outcome {
    let mut buffer = vec![0; READ_SIZE];
    let mut out = Vec::new();
    core.handle(Instant::now(), Input::Start, &mut out);
    loop {
        let mut effects = std::mem::take(&mut out).into_iter();
        let mut next: Option<Input<'_>> = None;
        for effect in effects.by_ref() {
            match effect {
                Effect::Done(outcome) => return outcome,
                Effect::Connect(link) => {
                    *wire = None;
                    match connect(spec, &link, core).await {
                        Ok(connected) => {
                            *wire = Some(connected);
                            next = Some(Input::Connected);
                        }
                        Err(input) => next = Some(input),
                    }
                }
                Effect::Send(bytes) => {
                    let Some(wire) = wire.as_mut() else {
                        next = Some(Input::Failed(Fault::Io("not connected".into())));
                        break;
                    };
                    let sent = async {
                        wire.write_all(&bytes).await?;
                        wire.flush().await
                    };
                    match timeout_at(instant(core.deadline()), sent).await {
                        Err(_) => next = Some(Input::Timeout),
                        // The server may have answered and closed before it read everything: what it said counts.
                        Ok(Err(e)) if e.kind() == io::ErrorKind::BrokenPipe => {}
                        Ok(Err(e)) => next = Some(Input::Failed(Fault::Io(error_text(&e)))),
                        Ok(Ok(())) => {}
                    }
                }
            }
            if next.is_some() {
                break;
            }
        }
        let input = match next {
            Some(input) => input,
            None => match wire.as_mut() {
                None => Input::Failed(Fault::Io("not connected".into())),
                Some(wire) => match timeout_at(instant(core.deadline()), wire.read(&mut buffer)).await {
                    Err(_) => Input::Timeout,
                    Ok(Ok(0)) => Input::Closed,
                    Ok(Ok(n)) => Input::Data(&buffer[..n]),
                    Ok(Err(e)) if e.kind() == io::ErrorKind::UnexpectedEof => Input::Closed,
                    Ok(Err(e)) => Input::Failed(Fault::Io(error_text(&e))),
                },
            },
        };
        let ended = matches!(input, Input::Timeout | Input::Failed(_) | Input::Closed);
        core.handle(Instant::now(), input, &mut out);
        if ended && out.is_empty() {
            // A core that has nothing to say to the end of its stream would be asked for ever.
            core.handle(Instant::now(), Input::Timeout, &mut out);
        }
    }
}

async fn connect(
    spec: &Spec,
    link: &Link,
    core: &mut (dyn Probe + Send),
) -> Result<Box<dyn Wire>, Input<'static>> {
    let deadline = instant(core.deadline());
    let failed = |e: &io::Error| Input::Failed(Fault::Connect(error_text(e)));
    let wire: Box<dyn Wire> = match (&spec.to, link.address) {
        (Endpoint::Socket(default), address) => {
            let mut to = address.unwrap_or(*default);
            if let Some(port) = link.port {
                to.set_port(port);
            }
            let made = timeout_at(deadline, tcp(link.relay.unwrap_or(to), &spec.source, link)).await;
            let mut stream = made.map_err(|_| Input::Timeout)?.map_err(|e| failed(&e))?;
            if link.relay.is_some() {
                let asked = timeout_at(deadline, relay(&mut stream, to)).await;
                let fault = asked.map_or(Some(Fault::RelayTimeout), Result::err);
                fault.map_or(Ok(()), |fault| Err(Input::Failed(fault)))?;
            }
            proxy(&mut stream, link.proxy_header, deadline).await?;
            Box::new(stream)
        }
        (_, Some(mut to)) => {
            to.set_port(link.port.unwrap_or(to.port()));
            let made = timeout_at(deadline, tcp(to, &spec.source, link)).await;
            Box::new(made.map_err(|_| Input::Timeout)?.map_err(|e| failed(&e))?)
        }
        (Endpoint::Unix(path), None) => Box::new(unix(path, deadline).await?),
        (Endpoint::Abstract(name), None) => {
            let mut path = vec![0];
            path.extend_from_slice(name.as_bytes());
            let path = <std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(&path).to_owned();
            Box::new(unix(Path::new(&path), deadline).await?)
        }
    };
    let Some(options) = &link.tls else { return Ok(wire) };
    core.in_handshake();
    let client = tls::client::build(options).map_err(|e| Input::Failed(Fault::Settings(e.to_string())))?;
    let shake = TlsConnector::from(client.config).connect(client.name, wire);
    match timeout_at(deadline, shake).await {
        Err(_) => Err(Input::Timeout),
        Ok(Err(e)) => {
            let text = if e.kind() == io::ErrorKind::InvalidData {
                "SSL handshake failure".to_owned()
            } else {
                "Connection closed during SSL handshake".to_owned()
            };
            Err(Input::Failed(Fault::Tls(text)))
        }
        Ok(Ok(stream)) => Ok(Box::new(stream)),
    }
}

async fn unix(path: &Path, deadline: tokio::time::Instant) -> Result<UnixStream, Input<'static>> {
    match timeout_at(deadline, UnixStream::connect(path)).await {
        Err(_) => Err(Input::Timeout),
        Ok(Err(e)) => Err(Input::Failed(Fault::Connect(error_text(&e)))),
        Ok(Ok(stream)) => Ok(stream),
    }
}

async fn tcp(to: SocketAddr, source: &Source, link: &Link) -> io::Result<TcpStream> {
    let socket = socket2::Socket::new(Domain::for_address(to), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    prepare(&socket, to, source)?;
    if link.reset {
        socket.set_linger(Some(Duration::ZERO))?;
        if link.silent && link.tls.is_none() && link.proxy_header.is_none() && link.relay.is_none() {
            // The reset goes out in place of the last packet of the handshake.
            socket.set_tcp_quickack(false)?;
        }
    }
    let stream = TcpSocket::from_std_stream(socket.into()).connect(to).await?;
    // Checks are small and want an answer now.
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Asks a SOCKS 4 proxy for a connection; it knows IPv4 alone.
async fn relay(stream: &mut TcpStream, to: SocketAddr) -> Result<(), Fault> {
    const GRANTED: u8 = 90;
    let told = |text: &str| Fault::Relay(text.to_owned());
    let IpAddr::V4(ip) = to.ip().to_canonical() else {
        return Err(told("SOCKS4 Proxy write error during handshake"));
    };
    let [high, low] = to.port().to_be_bytes();
    let mut request = vec![4, 1, high, low];
    request.extend_from_slice(&ip.octets());
    request.extend_from_slice(b"HAProxy\0");
    let sent = stream.write_all(&request).await;
    sent.map_err(|_| told("SOCKS4 Proxy write error during handshake"))?;
    let mut answer = [0; 8];
    let read = stream.read_exact(&mut answer).await;
    read.map_err(|_| told("SOCKS4 Proxy read error during handshake"))?;
    if answer[1] == GRANTED { Ok(()) } else { Err(told("SOCKS4 Proxy deny the request")) }
}

/// Binds a socket to a check's source.
fn prepare(socket: &Socket, to: SocketAddr, source: &Source) -> io::Result<()> {
    if source.mark != 0 {
        socket.set_mark(source.mark)?;
    }
    if let Some(interface) = &source.interface {
        socket.bind_device(Some(interface.as_bytes()))?;
    }
    if source.address.is_some() || source.port.is_some_and(|p| p != 0) {
        let any: IpAddr = if to.is_ipv4() { [0; 4].into() } else { [0u16; 8].into() };
        let address = source.address.unwrap_or(any);
        socket.set_reuse_address(true)?;
        socket.bind(&SocketAddr::new(address, source.port.unwrap_or(0)).into())?;
    }
    Ok(())
}

/// The PROXY header of a check: the connection's own addresses in text, LOCAL in binary.
async fn proxy(
    stream: &mut TcpStream,
    header: Option<ProxyHeader>,
    deadline: tokio::time::Instant,
) -> Result<(), Input<'static>> {
    let bytes = match header {
        None => return Ok(()),
        Some(ProxyHeader::V2) => b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0".to_vec(),
        Some(ProxyHeader::V1) => match (stream.local_addr(), stream.peer_addr()) {
            (Ok(from), Ok(to)) => {
                let family = if from.is_ipv4() { "TCP4" } else { "TCP6" };
                let (a, b) = (from.ip().to_canonical(), to.ip().to_canonical());
                format!("PROXY {family} {a} {b} {} {}\r\n", from.port(), to.port()).into_bytes()
            }
            _ => b"PROXY UNKNOWN\r\n".to_vec(),
        },
    };
    match timeout_at(deadline, stream.write_all(&bytes)).await {
        Err(_) => Err(Input::Timeout),
        Ok(Err(e)) => Err(Input::Failed(Fault::Connect(error_text(&e)))),
        Ok(Ok(())) => Ok(()),
    }
}

/// Runs a core on one connected UDP socket.
async fn datagram(spec: &Spec, core: &mut (dyn Probe + Send)) -> Outcome {
    exchange(spec, core, |to, source| {
        let socket = Socket::new(Domain::for_address(to), Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_nonblocking(true)?;
        prepare(&socket, to, source)?;
        Ok(socket)
    })
    .await
}

/// What an ICMP echo looks like around a payload.
struct Echo {
    identifier: u16,
    is_raw: bool,
    is_v4: bool,
}

const ECHO_HEAD: usize = 8;

impl Echo {
    fn wrap(&self, payload: &[u8]) -> Vec<u8> {
        let mut packet = vec![if self.is_v4 { 8 } else { 128 }, 0, 0, 0];
        packet.extend_from_slice(&self.identifier.to_be_bytes());
        packet.extend_from_slice(&[0, 1]);
        packet.extend_from_slice(payload);
        if self.is_v4 {
            let sum = checksum(&packet);
            packet[2..4].copy_from_slice(&sum.to_be_bytes());
        }
        packet
    }

    /// The payload of a reply to us.
    fn unwrap<'a>(&self, packet: &'a [u8]) -> Option<&'a [u8]> {
        let packet = if self.is_raw && self.is_v4 {
            let length = usize::from(packet.first()? & 0x0f) * 4;
            packet.get(length..)?
        } else {
            packet
        };
        let reply = if self.is_v4 { 0 } else { 129 };
        let ours = !self.is_raw || packet.get(4..6)? == self.identifier.to_be_bytes();
        (*packet.first()? == reply && ours).then(|| packet.get(ECHO_HEAD..)).flatten()
    }
}

fn checksum(bytes: &[u8]) -> u16 {
    let mut sum: u32 = 0;
    for pair in bytes.chunks(2) {
        sum += u32::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]));
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

async fn ping(spec: &Spec) -> Outcome {
    let payload: [u8; 32] = rand::random();
    let mut core = datagram::Core::ping(spec, payload.to_vec());
    let is_v4 = matches!(spec.to, Endpoint::Socket(SocketAddr::V4(_)));
    // The unprivileged kind first; where the group range forbids it, the raw one.
    let open = |kind: Type, to: SocketAddr, source: &Source| -> io::Result<Socket> {
        let protocol = if is_v4 { Protocol::ICMPV4 } else { Protocol::ICMPV6 };
        let socket = Socket::new(Domain::for_address(to), kind, Some(protocol))?;
        socket.set_nonblocking(true)?;
        prepare(&socket, to, &Source { port: None, ..source.clone() })?;
        Ok(socket)
    };
    let probe_socket = match &spec.to {
        Endpoint::Socket(to) => open(Type::DGRAM, *to, &spec.source),
        Endpoint::Unix(_) | Endpoint::Abstract(_) => Err(io::Error::from_raw_os_error(libc::EAFNOSUPPORT)),
    };
    let is_raw = probe_socket.is_err();
    let echo = Echo { identifier: rand::random(), is_raw, is_v4 };
    let kind = if is_raw { Type::RAW } else { Type::DGRAM };
    exchange_with(spec, &mut core, |to, source| open(kind, to, source), Some(&echo)).await
}

async fn exchange(
    spec: &Spec,
    core: &mut (dyn Probe + Send),
    open: impl Fn(SocketAddr, &Source) -> io::Result<Socket>,
) -> Outcome {
    exchange_with(spec, core, open, None).await
}

async fn exchange_with(
    spec: &Spec,
    core: &mut (dyn Probe + Send),
    open: impl Fn(SocketAddr, &Source) -> io::Result<Socket>,
    echo: Option<&Echo>,
) -> Outcome {
    let mut socket: Option<UdpSocket> = None;
    let mut buffer = vec![0; 64 << 10];
    let mut out = Vec::new();
    core.handle(Instant::now(), Input::Start, &mut out);
    loop {
        let mut next: Option<Input<'_>> = None;
        for effect in std::mem::take(&mut out) {
            match effect {
                Effect::Done(outcome) => return outcome,
                Effect::Connect(_) => {
                    let made = match &spec.to {
                        Endpoint::Socket(to) => dial(*to, &spec.source, &open),
                        Endpoint::Unix(_) | Endpoint::Abstract(_) => {
                            Err(io::Error::from_raw_os_error(libc::EAFNOSUPPORT))
                        }
                    };
                    next = Some(match made {
                        Ok(made) => {
                            socket = Some(made);
                            Input::Connected
                        }
                        Err(e) => Input::Failed(Fault::Connect(error_text(&e))),
                    });
                }
                Effect::Send(bytes) => {
                    let bytes = echo.map_or(bytes.clone(), |e| e.wrap(&bytes));
                    let Some(socket) = &socket else { continue };
                    if let Err(e) = socket.send(&bytes).await {
                        next = Some(Input::Failed(Fault::Io(error_text(&e))));
                    }
                }
            }
        }
        let input = match (next, &socket) {
            (Some(input), _) => input,
            (None, None) => Input::Failed(Fault::Io("not connected".into())),
            (None, Some(socket)) => {
                match timeout_at(instant(core.deadline()), socket.recv(&mut buffer)).await {
                    Err(_) => Input::Timeout,
                    Ok(Err(e)) => Input::Failed(Fault::Io(error_text(&e))),
                    Ok(Ok(n)) => match echo.map_or(Some(&buffer[..n]), |e| e.unwrap(&buffer[..n])) {
                        Some(payload) => Input::Data(payload),
                        None => continue,
                    },
                }
            }
        };
        core.handle(Instant::now(), input, &mut out);
    }
}

fn dial(
    to: SocketAddr,
    source: &Source,
    open: &impl Fn(SocketAddr, &Source) -> io::Result<Socket>,
) -> io::Result<UdpSocket> {
    let socket = open(to, source)?;
    socket.connect(&to.into())?;
    // Errors that ICMP reports must reach the check.
    if SockRef::from(&socket).domain()? == Domain::IPV4 {
        let _ = nix::sys::socket::setsockopt(&socket, nix::sys::socket::sockopt::Ipv4RecvErr, &true);
    }
    UdpSocket::from_std(socket.into())
}

/// Runs a program with a deadline; its process group does not outlive a probe that is given up.
async fn run_process(program: &Process, deadline: Duration) -> Ending {
    let environment = match &program.environment {
        None => exec::Environment::Inherited,
        Some(list) => exec::Environment::Only(list.iter().map(|(k, v)| (k.into(), v.into())).collect()),
    };
    let owner = match (program.uid, program.gid) {
        (None, None) => None,
        (uid, gid) => Some(exec::Owner {
            uid: uid.unwrap_or_else(|| nix::unistd::geteuid().as_raw()),
            gid: gid.unwrap_or_else(|| nix::unistd::getegid().as_raw()),
        }),
    };
    let program = exec::Program { owner, environment, ..exec::Program::new(&program.argv) };
    match program.run(Some(deadline)).await {
        exec::Outcome::Exited(status) => Ending::Exit(status),
        exec::Outcome::Signalled(number) => Ending::Signal(number),
        exec::Outcome::TimedOut => Ending::Timeout,
        exec::Outcome::Failed(e) => Ending::NotStarted(error_text(&e)),
    }
}

fn read_file(check: &file::File) -> Outcome {
    file::outcome(check, read_number(&check.path))
}

/// The number in a file, as `FILE_CHECK` reads it; `None` when it can't be opened.
pub fn read_number(path: &Path) -> Option<i64> {
    let mut text = Vec::new();
    // A FIFO or device in its place must not hold up the caller.
    let opened = std::fs::OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path).ok()?;
    // What can't be read counts as nothing.
    let _ = io::Read::read_to_end(&mut io::Read::take(opened, file::READ_MAX as u64), &mut text);
    Some(file::value(&text))
}
