//! The table we own in the kernel, kept equal to the wanted one.
//!
//! Invariant: only services we want or wanted are touched; services of others stay. After a refusal the kernel's
//! own table is read again, so a wrong idea of it never lasts.
//!
//! Absent on purpose: who wants what (`core/`).

use std::io;

use super::kernel::Ipvs;
use crate::core::plan::{Command, ServiceKey, Table, apply, commands};
use crate::messages::Message;

/// How often a command the kernel refused is tried again within one round.
const ROUNDS_MAX: usize = 2;

/// The owned part of the table.
pub struct Owned {
    ipvs: Box<dyn Ipvs>,
    actual: Table,
}

impl Owned {
    /// Takes over a table: services of `wanted` that are already there (left by a daemon that died) are ours.
    ///
    /// # Errors
    /// The kernel's, from reading its table.
    pub fn adopt(mut ipvs: Box<dyn Ipvs>, wanted: &Table) -> io::Result<Self> {
        let mut actual = ipvs.dump()?;
        actual.retain(|key, _| wanted.contains_key(key));
        Ok(Self { ipvs, actual })
    }

    /// The table's carrier.
    pub fn ipvs(&mut self) -> &mut dyn Ipvs {
        self.ipvs.as_mut()
    }

    /// What we believe to be in the kernel.
    pub fn actual(&self) -> &Table {
        &self.actual
    }

    /// Makes the table the wanted one; gives a line for each refusal that stands.
    pub fn reconcile(&mut self, wanted: &Table) -> Vec<Message> {
        let mut faults = Vec::new();
        for round in 1..=ROUNDS_MAX {
            faults.clear();
            for command in commands(wanted, &self.actual) {
                match self.ipvs.apply(&command) {
                    Ok(()) => {
                        // Our idea may be wrong in a way the kernel forgave; the next dump sets it right.
                        let _ = apply(&mut self.actual, &command);
                    }
                    Err(error) => faults.push(refusal(&command, &error)),
                }
            }
            if faults.is_empty() || round == ROUNDS_MAX {
                break;
            }
            self.refresh(wanted);
        }
        faults
    }

    /// Reads the kernel's table again.
    pub fn refresh(&mut self, wanted: &Table) {
        if let Ok(mut table) = self.ipvs.dump() {
            let ours = std::mem::take(&mut self.actual);
            table.retain(|key, _| wanted.contains_key(key) || ours.contains_key(key));
            self.actual = table;
        }
    }
}

fn key_text(key: &ServiceKey) -> String {
    match key {
        ServiceKey::Address(protocol, address) => {
            let named = crate::messages::address_name(*address, *protocol);
            format!(" ({})", named.replacen('[', "", 1).replacen(']', "", 1))
        }
        ServiceKey::Fwmark(mark, _) => format!(" (FWM {mark})"),
    }
}

/// keepalived's line about a refused command, with the names and numbers of the old socket options.
fn refusal(command: &Command, error: &io::Error) -> Message {
    let (name, number, key) = match command {
        Command::AddService(k, _) => ("IP_VS_SO_SET_ADD", 1154, k),
        Command::EditService(k, _) => ("IP_VS_SO_SET_EDIT", 1155, k),
        Command::DeleteService(k) => ("IP_VS_SO_SET_DEL", 1156, k),
        Command::AddDestination(k, ..) => ("IP_VS_SO_SET_ADDDEST", 1159, k),
        Command::DeleteDestination(k, ..) => ("IP_VS_SO_SET_DELDEST", 1160, k),
        Command::EditDestination(k, ..) => ("IP_VS_SO_SET_EDITDEST", 1161, k),
    };
    let errno = error.raw_os_error().unwrap_or(0);
    let is_destination = matches!(
        command,
        Command::AddDestination(..) | Command::DeleteDestination(..) | Command::EditDestination(..)
    );
    let text = match (errno, is_destination) {
        (libc::EEXIST, false) => "Service already exists".to_owned(),
        (libc::EEXIST, true) => "Destination already exists".to_owned(),
        (libc::ESRCH, _) => "Service not defined".to_owned(),
        (libc::ENOENT, true) => "No such destination".to_owned(),
        (libc::ENOENT, false) => "Scheduler or persistence engine not found".to_owned(),
        _ => health::outcome::error_text(error),
    };
    Message::IpvsError { command: name, number, text, errno, service: key_text(key) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::config::model::{Family, Protocol, Target, VirtualServer};
    use crate::core::plan::{Entry, Service};
    use crate::ipvs::kernel::Fake;

    fn table(ports: &[u16]) -> Table {
        let entry = |port: u16| {
            let address = std::net::SocketAddr::from(([10, 0, 0, 1], port));
            let server = VirtualServer::new(Target::Address(address), Family::Inet);
            let service = Service::of(&server, Family::Inet);
            (ServiceKey::Address(Protocol::Tcp, address), Entry { service, destinations: BTreeMap::new() })
        };
        ports.iter().map(|p| entry(*p)).collect()
    }

    #[test]
    fn services_of_others_stay_and_leftovers_of_ours_are_taken_over() {
        let fake = Fake { table: table(&[1, 2]), ..Fake::default() };
        let mut owned = Owned::adopt(Box::new(fake), &table(&[2, 3])).expect("adopted");
        assert!(owned.reconcile(&table(&[2, 3])).is_empty());
        assert_eq!(owned.ipvs().dump().expect("dump"), table(&[1, 2, 3]));
        assert!(owned.reconcile(&Table::new()).is_empty());
        assert_eq!(owned.ipvs().dump().expect("dump"), table(&[1]));
    }

    #[test]
    fn a_table_that_somebody_changed_is_put_right() {
        let mut owned = Owned::adopt(Box::new(Fake::default()), &Table::new()).expect("adopted");
        owned.reconcile(&table(&[1, 2]));
        let gone = table(&[1]).into_keys().next().expect("a key");
        owned.ipvs().apply(&Command::DeleteService(gone)).expect("deleted");
        // The removal of a service that is gone is refused, seen, and forgotten.
        assert!(owned.reconcile(&table(&[2])).is_empty());
        assert_eq!(owned.actual(), &table(&[2]));
    }

    #[test]
    fn refusals_read_as_keepaliveds() {
        let (key, entry) = table(&[8080]).into_iter().next().expect("an entry");
        let message =
            refusal(&Command::AddService(key, entry.service), &io::Error::from_raw_os_error(libc::EEXIST));
        assert_eq!(
            message.to_string(),
            "IPVS cmd IP_VS_SO_SET_ADD(1154) error: Service already exists(17) (10.0.0.1:tcp:8080)"
        );
    }
}
