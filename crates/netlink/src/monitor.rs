//! What changes without us, and because of us.

use crate::commands::messages;
use crate::{AddressEvent, GoneRoute, Link};
use netlink_packet_core::NetlinkPayload;
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};
use std::io;
use std::os::fd::AsFd;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

const GROUP_LINK: u32 = 1;
const GROUP_IPV4_ADDRESS: u32 = 5;
const GROUP_IPV6_ADDRESS: u32 = 9;
const GROUP_IPV4_ROUTE: u32 = 7;
const GROUP_IPV4_RULE: u32 = 8;
const GROUP_IPV6_ROUTE: u32 = 11;
const GROUP_IPV6_RULE: u32 = 19;

/// Receive buffer: 1,000 addresses that come and go at once are 150 kB of reports.
const RECEIVE_BUFFER: u32 = 4 << 20;

/// Most datagrams read for one call of [`Monitor::next`], so that a storm of reports cannot hold up the caller.
const DATAGRAMS_MAX: usize = 32;

/// A report of the kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A link is new or has changed.
    Link(Link),
    /// A link is gone.
    LinkGone(Link),
    /// An address is new or has changed.
    Address(AddressEvent),
    /// An address is gone.
    AddressGone(AddressEvent),
    /// A route is gone.
    RouteGone(GoneRoute),
    /// A policy rule is gone: whether it was one of IPv6, and its priority.
    RuleGone(bool, u32),
    /// Reports were lost: list everything again.
    Overrun,
}

/// The stream of reports of one namespace.
#[derive(Debug)]
pub struct Monitor {
    socket: AsyncFd<Socket>,
}

impl Monitor {
    /// Starts listening in the namespace of the calling thread; inside a tokio runtime. List links and addresses
    /// afterwards, so that nothing falls between.
    pub fn open(receive_buffer: Option<u32>) -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind(&SocketAddr::new(0, 0))?;
        for group in [GROUP_LINK, GROUP_IPV4_ADDRESS, GROUP_IPV6_ADDRESS] {
            socket.add_membership(group)?;
        }
        socket.set_non_blocking(true)?;
        // Without the right to more, the host's limit counts and Overrun does the rest.
        let _ = sys::packet::receive_buffer(socket.as_fd(), receive_buffer.unwrap_or(RECEIVE_BUFFER));
        #[expect(deprecated, reason = "its successor is unsafe; this socket owns its descriptor")]
        let socket = AsyncFd::with_interest(socket, Interest::READABLE)?;
        Ok(Self { socket })
    }

    /// Listens for routes and rules that go, too. Not from the start: a router with a full table has many.
    pub fn watch_routes(&mut self) -> io::Result<()> {
        for group in [GROUP_IPV4_ROUTE, GROUP_IPV4_RULE, GROUP_IPV6_ROUTE, GROUP_IPV6_RULE] {
            self.socket.get_mut().add_membership(group)?;
        }
        Ok(())
    }

    /// Throws away the reports that are there: everything is about to be listed.
    pub fn discard(&mut self) {
        // Neither the end of the reports nor their loss matters.
        while self.socket.get_ref().recv_from_full().is_ok() {}
    }

    /// Waits for reports and returns those that are there. Cancel safe.
    pub async fn next(&mut self) -> io::Result<Vec<Event>> {
        loop {
            let mut guard = self.socket.readable().await?;
            let mut events = Vec::new();
            for _ in 0..DATAGRAMS_MAX {
                match guard.try_io(|socket| socket.get_ref().recv_from_full()) {
                    Ok(Ok((buffer, _))) => read(&buffer, &mut events),
                    Ok(Err(error)) if error.raw_os_error() == Some(ENOBUFS) => events.push(Event::Overrun),
                    Ok(Err(error)) => return Err(error),
                    Err(_would_block) => break,
                }
            }
            if !events.is_empty() {
                return Ok(events);
            }
        }
    }
}

const ENOBUFS: i32 = 105;

fn read(buffer: &[u8], events: &mut Vec<Event>) {
    for message in messages(buffer) {
        let NetlinkPayload::InnerMessage(inner) = message.payload else { continue };
        match inner {
            RouteNetlinkMessage::NewLink(link) => events.push(Event::Link(Link::from_message(&link))),
            RouteNetlinkMessage::DelLink(link) => events.push(Event::LinkGone(Link::from_message(&link))),
            RouteNetlinkMessage::NewAddress(a) => {
                events.extend(AddressEvent::from_message(&a).map(Event::Address));
            }
            RouteNetlinkMessage::DelAddress(a) => {
                events.extend(AddressEvent::from_message(&a).map(Event::AddressGone));
            }
            RouteNetlinkMessage::DelRoute(r) => events.push(Event::RouteGone(GoneRoute::from_message(&r))),
            RouteNetlinkMessage::DelRule(r) => events.push(crate::route::rule_gone(&r)),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;
