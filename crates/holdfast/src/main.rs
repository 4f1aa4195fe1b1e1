//! `holdfast`: what the daemons know, read from their bus sockets.
//!
//! `status` prints one picture and ends; `watch` prints changes until it is ended; `bus watch TOPIC…` prints the
//! frames' data of chosen topics. Exit codes: 0 all daemons answered, 1 some did not, 2 wrong usage.
//!
//! Invariant: reads only; it offers no lease and changes nothing.

mod view;

use bus::Role;
use bus::endpoint::{Client, News, dial};
use clap::{Parser, Subcommand};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use tokio::sync::mpsc;

/// How long `status` waits for a daemon's snapshot.
const PATIENCE: Duration = Duration::from_secs(1);

/// What the daemons know.
#[derive(Debug, Parser)]
#[command(name = "holdfast", version)]
struct Args {
    /// Directory of the daemons' sockets [default: HOLDFAST_DIR, else /run/holdfast].
    #[arg(long, global = true)]
    dir: Option<PathBuf>,
    /// One JSON object a line instead of text.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// What the daemons know now; exit code 1 when one of the three does not answer.
    Status,
    /// What changes from now on, and what is known at first.
    Watch,
    /// The bus itself.
    #[command(subcommand)]
    Bus(BusCommand),
}

#[derive(Debug, Subcommand)]
enum BusCommand {
    /// Topics, or beginnings of topics with `*` behind.
    Watch {
        /// Such as `vrrp.*` or `daemon.status`.
        #[arg(required = true)]
        topics: Vec<String>,
    },
    /// The families of topics and who serves them.
    Topics,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let Some(dir) = args.dir.clone().or_else(bus::directory) else {
        say("the bus is switched off: HOLDFAST_DIR is empty\n", true);
        return ExitCode::from(2);
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let Ok(runtime) = runtime else { return ExitCode::FAILURE };
    let all = vec!["*".to_owned()];
    runtime.block_on(async {
        match args.command {
            Command::Status => status(dir, args.json).await,
            Command::Watch => watch(dir, &all, args.json).await,
            Command::Bus(BusCommand::Watch { topics }) => watch(dir, &topics, args.json).await,
            Command::Bus(BusCommand::Topics) => {
                for family in &bus::FAMILIES {
                    let key = if family.keyed { "/KEY" } else { "" };
                    let owner = family.owner.map_or("each daemon", Role::name);
                    say(
                        &format!("{:<22} {owner:<12} {}\n", format!("{}{key}", family.name), family.about),
                        false,
                    );
                }
                ExitCode::SUCCESS
            }
        }
    })
}

fn connect(dir: &std::path::Path, role: Role, topics: &[String]) -> Client {
    let topics: Vec<&str> = topics.iter().map(String::as_str).collect();
    dial(dir.join(format!("{}.sock", role.name())), Role::Operator, &topics)
}

async fn status(dir: PathBuf, json: bool) -> ExitCode {
    let mut missing = false;
    for role in Role::DAEMONS {
        let facts = snapshot(&dir, role).await;
        missing |= facts.is_none();
        let text = if json { view::json(role, facts.as_ref()) } else { view::text(role, facts.as_ref()) };
        if !say(&text, false) {
            break;
        }
    }
    if missing { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// All that a daemon knows; `None` when it does not answer in time.
async fn snapshot(dir: &std::path::Path, role: Role) -> Option<BTreeMap<String, Value>> {
    let mut client = connect(dir, role, &["*".to_owned()]);
    let mut facts = BTreeMap::new();
    let reading = async {
        while let Some(news) = client.news.recv().await {
            match news {
                News::Changed(topic, data) => drop(facts.insert(topic, data)),
                News::Gone(topic) => drop(facts.remove(&topic)),
                News::Synced => return true,
                News::Up { .. } | News::Event(_) | News::Lease(_) | News::Down => {}
            }
        }
        false
    };
    let complete = tokio::time::timeout(PATIENCE, reading).await.unwrap_or(false);
    complete.then_some(facts)
}

async fn watch(dir: PathBuf, topics: &[String], json: bool) -> ExitCode {
    let (sender, mut lines) = mpsc::channel(64);
    for role in Role::DAEMONS {
        let mut client = connect(&dir, role, topics);
        let sender = sender.clone();
        tokio::spawn(async move {
            while let Some(news) = client.news.recv().await {
                if let Some(line) = view::line(role, &news, json)
                    && sender.send(line).await.is_err()
                {
                    return;
                }
            }
        });
    }
    drop(sender);
    while let Some(line) = lines.recv().await {
        if !say(&line, false) {
            break;
        }
    }
    ExitCode::SUCCESS
}

/// Prints; says whether anybody still reads.
fn say(text: &str, to_stderr: bool) -> bool {
    if to_stderr {
        return std::io::stderr().write_all(text.as_bytes()).is_ok();
    }
    let mut out = std::io::stdout();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_ok()
}
