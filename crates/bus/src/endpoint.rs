//! The sockets: [`Server`] listens on a daemon's own, [`dial`] keeps a connection to another's.
//!
//! Invariant: a daemon never waits for a peer. Each connection is a task; what a peer does not read in time is
//! replaced by a snapshot, and what a daemon does not take in time makes its own client wait, not the peer's.
//!
//! Rights come from the kernel's word about the peer (`SO_PEERCRED`): uid 0 or our own may offer leases, members
//! of the socket's group may watch, all others are closed and reported.
//!
//! Absent on purpose: what frames mean ([`crate::session`], [`crate::lease`]) and log lines.

use crate::session::{self, Backoff, Change, Learned, Served, Store};
use crate::wire::{self, Frame, Lines};
use crate::{Role, lease::Peer};
use sansio::driver::sleep_until;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Notify, mpsc};

/// Connections at once; a handful of daemons and operators use it.
const PEERS_MAX: usize = 64;
/// Messages to a daemon that it has not taken yet.
const INBOX: usize = 1024;
/// The group whose members may watch.
pub const GROUP: &str = "holdfast";

/// What a peer wants of the serving daemon.
#[derive(Debug, PartialEq)]
pub enum Request {
    /// A frame about leases: offer, nudge or withdraw.
    Lease(Peer, Frame),
    /// The connection is gone, and all its leases.
    Closed(Peer),
    /// Somebody without rights knocked.
    Refused {
        /// User.
        uid: u32,
        /// Process; 0 when the kernel doesn't know.
        pid: i32,
    },
}

#[derive(Debug)]
struct Shared {
    store: Store,
    peers: BTreeMap<Peer, Slot>,
    next_peer: Peer,
}

#[derive(Debug)]
struct Slot {
    session: session::Server,
    replies: Vec<Frame>,
    wake: Arc<Notify>,
}

/// The facts of this daemon, served; cheap to clone.
#[derive(Debug, Clone)]
pub struct Server {
    shared: Arc<Mutex<Shared>>,
}

impl Server {
    /// Facts that nobody is served yet, for a daemon whose bus is off or can't be bound.
    pub fn unserved() -> Self {
        let store = Store::new(rand::random::<u64>() | 1);
        Self { shared: Arc::new(Mutex::new(Shared { store, peers: BTreeMap::new(), next_peer: 1 })) }
    }

    /// Starts serving on `DIR/ROLE.sock`; makes the directory (0750) and replaces a socket that another process
    /// left or still has (a successor takes over its name). Must be called within a tokio runtime.
    pub fn serve(&self, directory: &Path, role: Role) -> io::Result<mpsc::Receiver<Request>> {
        let (listener, bound) = bind(directory, role)?;
        let (requests, inbox) = mpsc::channel(INBOX);
        tokio::spawn(accept(self.clone(), listener, bound, role, requests));
        Ok(inbox)
    }

    /// Sets the state of a topic and tells who wants to know.
    pub fn publish(&self, topic: &str, data: Value) {
        let mut shared = self.lock();
        if let Some(change) = shared.store.publish(topic, data) {
            shared.tell(&change);
        }
    }

    /// Removes a topic.
    pub fn retract(&self, topic: &str) {
        let mut shared = self.lock();
        if let Some(change) = shared.store.retract(topic) {
            shared.tell(&change);
        }
    }

    /// Removes every topic with this beginning that `keep` does not want.
    pub fn retain(&self, begin: &str, keep: impl Fn(&str) -> bool) {
        let mut shared = self.lock();
        let gone: Vec<String> =
            shared.store.topics().filter(|t| t.starts_with(begin) && !keep(t)).map(Into::into).collect();
        for topic in gone {
            if let Some(change) = shared.store.retract(&topic) {
                shared.tell(&change);
            }
        }
    }

    /// Sends a frame about leases to one peer; nothing happens when it is gone.
    pub fn reply(&self, peer: Peer, frame: Frame) {
        if let Some(slot) = self.lock().peers.get_mut(&peer) {
            slot.replies.push(frame);
            slot.wake.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        // A panic while the lock was held leaves plain data behind, which is still whole.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    fn tell(&mut self, change: &Change) {
        for slot in self.peers.values_mut() {
            slot.session.changed(change);
            slot.wake.notify_one();
        }
    }
}

/// The path of a listening socket, removed with it unless a successor has taken the name.
struct Bound {
    path: PathBuf,
    inode: u64,
    gid: u32,
}

impl Drop for Bound {
    fn drop(&mut self) {
        if std::fs::symlink_metadata(&self.path).is_ok_and(|m| m.ino() == self.inode) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn bind(directory: &Path, role: Role) -> io::Result<(UnixListener, Bound)> {
    let group = nix::unistd::Group::from_name(GROUP).ok().flatten();
    if !directory.exists() {
        std::fs::DirBuilder::new().mode(0o750).create(directory)?;
        if let Some(group) = &group {
            // Without the right to give it to the group only root can watch, which is safe.
            let _ = std::os::unix::fs::chown(directory, None, Some(group.gid.as_raw()));
        }
    }
    // Bound under another name and moved: the name always leads to a listening socket.
    let path = directory.join(format!("{}.sock", role.name()));
    let fresh = directory.join(format!(".{}.{}", role.name(), std::process::id()));
    let _ = std::fs::remove_file(&fresh);
    let listener = UnixListener::bind(&fresh)?;
    std::fs::set_permissions(&fresh, std::fs::Permissions::from_mode(0o660))?;
    if let Some(group) = &group {
        let _ = std::os::unix::fs::chown(&fresh, None, Some(group.gid.as_raw()));
    }
    let meta = std::fs::symlink_metadata(&fresh)?;
    std::fs::rename(&fresh, &path)?;
    Ok((listener, Bound { path, inode: meta.ino(), gid: meta.gid() }))
}

/// What a peer may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    Full,
    Watch,
    None,
}

fn access(uid: u32, gid: u32, own_uid: u32, socket_gid: u32) -> Access {
    if uid == 0 || uid == own_uid {
        return Access::Full;
    }
    if socket_gid == 0 {
        return Access::None;
    }
    let member = gid == socket_gid || is_member(uid, socket_gid);
    if member { Access::Watch } else { Access::None }
}

/// Whether the user is listed in the group; the peer's other groups are not in SO_PEERCRED.
fn is_member(uid: u32, gid: u32) -> bool {
    let user = nix::unistd::User::from_uid(uid.into()).ok().flatten();
    let group = nix::unistd::Group::from_gid(gid.into()).ok().flatten();
    user.zip(group).is_some_and(|(u, g)| g.mem.contains(&u.name))
}

async fn accept(
    server: Server,
    listener: UnixListener,
    bound: Bound,
    role: Role,
    requests: mpsc::Sender<Request>,
) {
    let own_uid = nix::unistd::geteuid().as_raw();
    loop {
        tokio::select! {
            () = requests.closed() => return,
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else {
                    // Out of descriptors: give others a chance to close some.
                    tokio::time::sleep(Backoff::FIRST).await;
                    continue;
                };
                let Ok(cred) = stream.peer_cred() else { continue };
                let access = access(cred.uid(), cred.gid(), own_uid, bound.gid);
                if access == Access::None {
                    let refused = Request::Refused { uid: cred.uid(), pid: cred.pid().unwrap_or_default() };
                    // A daemon that is behind learns of the next one.
                    let _ = requests.try_send(refused);
                    continue;
                }
                if let Some(peer) = enrol(&server) {
                    tokio::spawn(attend(server.clone(), peer, stream, access, role, requests.clone()));
                }
            }
        }
    }
}

fn enrol(server: &Server) -> Option<Peer> {
    let mut shared = server.lock();
    if shared.peers.len() >= PEERS_MAX {
        return None;
    }
    let peer = shared.next_peer;
    shared.next_peer += 1;
    let session = session::Server::new(Instant::now());
    shared.peers.insert(peer, Slot { session, replies: Vec::new(), wake: Arc::new(Notify::new()) });
    Some(peer)
}

async fn attend(
    server: Server,
    peer: Peer,
    mut stream: UnixStream,
    access: Access,
    role: Role,
    requests: mpsc::Sender<Request>,
) {
    let fault = converse(&server, peer, &mut stream, access, role, &requests).await;
    if let Err(Some(fault)) = fault
        && let Ok(line) = wire::encode(&Frame::Error { text: fault.to_string() })
    {
        let _ = stream.write_all(&line).await;
    }
    server.lock().peers.remove(&peer);
    let _ = requests.send(Request::Closed(peer)).await;
}

/// Runs until the connection ends; `Err(None)` when the socket did, `Err(Some)` when the peer broke the rules.
async fn converse(
    server: &Server,
    peer: Peer,
    stream: &mut UnixStream,
    access: Access,
    role: Role,
    requests: &mpsc::Sender<Request>,
) -> Result<(), Option<session::Fault>> {
    let Some(wake) = server.lock().peers.get(&peer).map(|s| s.wake.clone()) else { return Err(None) };
    let features = if access == Access::Full && role == Role::Checkd { vec!["lease".into()] } else { vec![] };
    let epoch = server.lock().store.epoch();
    let pid = std::process::id();
    let hello =
        Frame::Hello { versions: vec![wire::VERSION], role: role.name().into(), features, epoch, pid };
    let (mut reader, mut writer) = stream.split();
    let mut lines = Lines::new();
    let mut piece = vec![0; 4096];
    let mut line = wire::encode(&hello).map_err(|_| None)?;
    let mut sent = 0;
    loop {
        if sent == line.len() {
            match next_frame(server, peer) {
                Some(frame) => (line, sent) = (wire::encode(&frame).unwrap_or_default(), 0),
                None => (line, sent) = (Vec::new(), 0),
            }
        }
        let deadline = server.lock().peers.get(&peer).and_then(|s| s.session.deadline());
        let room = lines.room().min(piece.len());
        tokio::select! {
            n = writer.write(&line[sent..]), if sent < line.len() => sent += n.map_err(|_| None)?,
            () = wake.notified(), if sent == line.len() => {}
            n = reader.read(&mut piece[..room]) => {
                let n = n.map_err(|_| None)?;
                if n == 0 {
                    return Err(None);
                }
                lines.feed(&piece[..n]).map_err(|_| Some(session::Fault::OutOfPlace))?;
                while let Some(got) = lines.next_line().map_err(|_| Some(session::Fault::OutOfPlace))? {
                    let frame = wire::decode(got).map_err(|_| Some(session::Fault::OutOfPlace))?;
                    hear(server, peer, frame, access, requests).await?;
                }
            }
            () = sleep_until(deadline) => {
                let mut out = Vec::new();
                if let Some(slot) = server.lock().peers.get_mut(&peer) {
                    slot.session.timeout(Instant::now(), &mut out);
                }
                if let Some(Served::Close(fault)) = out.first() {
                    return Err(Some(*fault));
                }
            }
        }
    }
}

fn next_frame(server: &Server, peer: Peer) -> Option<Frame> {
    let mut shared = server.lock();
    let Shared { store, peers, .. } = &mut *shared;
    let slot = peers.get_mut(&peer)?;
    if slot.replies.is_empty() { slot.session.next(store) } else { Some(slot.replies.remove(0)) }
}

async fn hear(
    server: &Server,
    peer: Peer,
    frame: Frame,
    access: Access,
    requests: &mpsc::Sender<Request>,
) -> Result<(), Option<session::Fault>> {
    let mut out = Vec::new();
    if let Some(slot) = server.lock().peers.get_mut(&peer) {
        slot.session.frame(Instant::now(), frame, &mut out);
    }
    for effect in out {
        match effect {
            Served::Reply(frame) => server.reply(peer, frame),
            Served::Close(fault) => return Err(Some(fault)),
            Served::Lease(Frame::Offer { lease, .. }) if access != Access::Full => {
                server.reply(peer, Frame::Refused { lease, reason: "not allowed".into() });
            }
            Served::Lease(_) if access != Access::Full => {}
            Served::Lease(frame) => requests.send(Request::Lease(peer, frame)).await.map_err(|_| None)?,
        }
    }
    Ok(())
}

/// What a subscriber hears.
#[derive(Debug, PartialEq)]
pub enum News {
    /// Connected; `leases` when offers are welcome.
    Up {
        /// Whether the peer takes leases from us.
        leases: bool,
    },
    /// A topic has this state now.
    Changed(String, Value),
    /// A topic is gone.
    Gone(String),
    /// Something happened.
    Event(Value),
    /// What is known is complete.
    Synced,
    /// A frame about leases: granted, refused or outcome.
    Lease(Frame),
    /// The connection is gone; what was known stays known.
    Down,
}

/// A kept connection; dropping it ends it.
#[derive(Debug)]
pub struct Client {
    /// What is heard, in order.
    pub news: mpsc::Receiver<News>,
    outbox: mpsc::Sender<Frame>,
}

impl Client {
    /// Sends a frame about leases; says whether it was queued. Queued frames are lost when the connection is.
    pub fn send(&self, frame: Frame) -> bool {
        self.outbox.try_send(frame).is_ok()
    }

    /// A sender that can be kept apart from the receiver.
    pub fn sender(&self) -> mpsc::Sender<Frame> {
        self.outbox.clone()
    }
}

/// Keeps a connection to the daemon behind `path` for `patterns`, as `role`; dials again with jitter for ever.
/// Must be called within a tokio runtime.
pub fn dial(path: PathBuf, role: Role, patterns: &[&str]) -> Client {
    let (inbox, news) = mpsc::channel(INBOX);
    let (outbox, frames) = mpsc::channel(INBOX);
    let patterns = patterns.iter().map(|p| (*p).into()).collect();
    let session = session::Client::new(Instant::now(), role.name(), std::process::id(), patterns);
    tokio::spawn(keep(path, session, inbox, frames));
    Client { news, outbox }
}

async fn keep(
    path: PathBuf,
    mut session: session::Client,
    inbox: mpsc::Sender<News>,
    mut frames: mpsc::Receiver<Frame>,
) {
    let mut backoff = Backoff::new(rand::random());
    while !inbox.is_closed() {
        if let Ok(stream) = UnixStream::connect(&path).await {
            let told = listen(stream, &mut session, &inbox, &mut frames).await;
            session.closed();
            while frames.try_recv().is_ok() {}
            if told {
                backoff.reset();
                if inbox.send(News::Down).await.is_err() {
                    return;
                }
            }
        }
        tokio::select! {
            () = inbox.closed() => return,
            () = tokio::time::sleep(backoff.wait()) => {}
        }
    }
}

/// Runs one connection to its end; says whether the daemon was told that it stands.
async fn listen(
    mut stream: UnixStream,
    session: &mut session::Client,
    inbox: &mpsc::Sender<News>,
    frames: &mut mpsc::Receiver<Frame>,
) -> bool {
    let (mut reader, mut writer) = stream.split();
    let mut lines = Lines::new();
    let mut piece = vec![0; 16 * 1024];
    let mut out = Vec::new();
    let mut told = false;
    session.connected(Instant::now(), &mut out);
    loop {
        for effect in out.drain(..) {
            let news = match effect {
                Learned::Send(frame) => {
                    let Ok(line) = wire::encode(&frame) else { return told };
                    if writer.write_all(&line).await.is_err() {
                        return told;
                    }
                    continue;
                }
                Learned::Close(_) => return told,
                Learned::Up { leases } => {
                    told = true;
                    News::Up { leases }
                }
                Learned::Changed(topic, data) => News::Changed(topic, data),
                Learned::Gone(topic) => News::Gone(topic),
                Learned::Event(data) => News::Event(data),
                Learned::Synced => News::Synced,
                Learned::Lease(frame) => News::Lease(frame),
            };
            if inbox.send(news).await.is_err() {
                return told;
            }
        }
        let room = lines.room().min(piece.len());
        tokio::select! {
            n = reader.read(&mut piece[..room]) => {
                let Ok(n @ 1..) = n else { return told };
                if lines.feed(&piece[..n]).is_err() {
                    return told;
                }
                loop {
                    match lines.next_line() {
                        Ok(Some(line)) => match wire::decode(line) {
                            Ok(frame) => session.frame(Instant::now(), frame, &mut out),
                            Err(_) => return told,
                        },
                        Ok(None) => break,
                        Err(_) => return told,
                    }
                }
            }
            Some(frame) = frames.recv() => {
                let Ok(line) = wire::encode(&frame) else { continue };
                if writer.write_all(&line).await.is_err() {
                    return told;
                }
            }
            () = sleep_until(session.deadline()) => session.timeout(Instant::now(), &mut out),
            () = inbox.closed() => return told,
        }
    }
}

#[cfg(test)]
mod tests;
