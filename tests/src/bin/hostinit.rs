//! First process of a test host (`holdfast-hostinit NAME DIR [KEEP…]`, in fresh net, mount, pid, uts and ipc
//! namespaces): gives the host its own `/dev`, `/run` and `/tmp`, listens on `/dev/log` and 127.0.0.1:514,
//! writes what arrives to `DIR/syslog` (`SECONDS <PRI> text`), and reaps orphans, so that a dead daemon is
//! gone and not a zombie that `killall -0` still finds.
//!
//! Invariant: it ends when its standard input does, and with it the whole host.
//!
//! Absent on purpose: anything that a test may want to vary.

use std::error::Error;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::net::UdpSocket;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sys::wait::waitpid;

type Fallible<T> = Result<T, Box<dyn Error>>;

/// Longest datagram taken: syslog over UDP cannot be longer.
const DATAGRAM_BYTES: usize = 65536;
/// How often orphans are looked for while none is there.
const REAP_PAUSE: Duration = Duration::from_millis(5);
/// Nodes that every program may expect.
const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];

fn main() -> Fallible<()> {
    let mut args = std::env::args().skip(1);
    let (name, dir) = args.next().zip(args.next()).ok_or("usage: holdfast-hostinit NAME DIR [KEEP...]")?;
    let dir = PathBuf::from(dir);
    let keep: Vec<PathBuf> = args.map(PathBuf::from).collect();
    nix::unistd::sethostname(&name)?;
    private_mounts(&dir, &keep)?;
    Command::new("ip").args(["link", "set", "lo", "up"]).status()?;
    collect_logs(&dir)?;
    std::thread::spawn(reap);
    std::io::stdout().write_all(b"ready\n")?;
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

fn tmpfs(at: &Path, mode: &str) -> Fallible<()> {
    fs::create_dir_all(at)?;
    let flags = MsFlags::MS_NOSUID;
    mount(Some("tmpfs"), at, Some("tmpfs"), flags, Some(format!("mode={mode}").as_str()))?;
    Ok(())
}

fn bind(from: &Path, to: &Path) -> Fallible<()> {
    let flags = MsFlags::MS_BIND | MsFlags::MS_REC;
    mount(Some(from), to, None::<&str>, flags, None::<&str>)
        .map_err(|e| format!("bind {} on {}: {e}", from.display(), to.display()).into())
}

fn shift(from: &Path, to: &Path) -> Fallible<()> {
    mount(Some(from), to, None::<&str>, MsFlags::MS_MOVE, None::<&str>)?;
    Ok(())
}

/// Own `/dev`, `/run` and `/tmp`; what must stay reachable below the old ones is bound into the new ones.
fn private_mounts(dir: &Path, keep: &[PathBuf]) -> Fallible<()> {
    let stage = dir.join("mnt");
    let [dev, run, tmp] = ["dev", "run", "tmp"].map(|n| stage.join(n));
    tmpfs(&dev, "755")?;
    for node in DEVICES {
        let to = dev.join(node);
        File::create(&to)?;
        bind(&Path::new("/dev").join(node), &to)?;
    }
    for (name, target) in [("fd", ""), ("stdin", "/0"), ("stdout", "/1"), ("stderr", "/2")] {
        symlink(format!("/proc/self/fd{target}"), dev.join(name))?;
    }
    tmpfs(&dev.join("shm"), "1777")?;
    tmpfs(&run, "755")?;
    fs::create_dir_all(run.join("haproxy"))?;
    fs::create_dir_all(run.join("lock"))?;
    tmpfs(&tmp, "1777")?;
    for (old, new) in [("/run", &run), ("/tmp", &tmp)] {
        for path in keep.iter().filter_map(|p| p.strip_prefix(old).ok()) {
            let Some(first) = path.components().next() else { continue };
            let to = new.join(first);
            if !to.exists() {
                fs::create_dir_all(&to)?;
                bind(&Path::new(old).join(first), &to)?;
            }
        }
    }
    shift(&dev, Path::new("/dev"))?;
    shift(&run, Path::new("/run"))?;
    shift(&tmp, Path::new("/tmp"))
}

/// One thread per log socket, all writing to `DIR/syslog`.
fn collect_logs(dir: &Path) -> Fallible<()> {
    let file = OpenOptions::new().create(true).append(true).open(dir.join("syslog"))?;
    let file = Arc::new(Mutex::new(file));
    let unix = UnixDatagram::bind("/dev/log")?;
    fs::set_permissions("/dev/log", fs::Permissions::from_mode(0o666))?;
    let udp = UdpSocket::bind("127.0.0.1:514")?;
    let to = Arc::clone(&file);
    std::thread::spawn(move || write_log(&to, |b| unix.recv(b)));
    std::thread::spawn(move || write_log(&file, |b| udp.recv(b)));
    Ok(())
}

fn write_log(file: &Mutex<File>, mut receive: impl FnMut(&mut [u8]) -> std::io::Result<usize>) {
    let mut buffer = vec![0; DATAGRAM_BYTES];
    while let Ok(n) = receive(&mut buffer) {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let text = String::from_utf8_lossy(&buffer[..n]);
        let text = text.trim_end_matches(['\0', '\n']);
        let (priority, rest) = text.strip_prefix('<').and_then(|t| t.split_once('>')).unwrap_or(("", text));
        let line = format!("{:.6} <{priority}> {}\n", now.as_secs_f64(), rest.replace('\n', "\\n"));
        if let Ok(mut file) = file.lock() {
            let _ = file.write_all(line.as_bytes());
        }
    }
}

fn reap() {
    loop {
        match waitpid(None, None) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(_) => std::thread::sleep(REAP_PAUSE),
        }
    }
}
