//! Built-in services that answer in place of a server: the stats page, the Prometheus exporter.

use super::http::{After, Exchange};
use super::txn::{EndedBy, EndedIn};
use crate::config::model::ProxyId;

impl Exchange<'_> {
    /// Answers by a service that a rule asked for.
    pub async fn service(&mut self, name: &'static str) -> After {
        self.set_end((EndedBy::Local, EndedIn::Request));
        let _ = name;
        self.reply_error(501).await
    }

    /// The stats page, where the request asks for it.
    pub async fn stats_page(&mut self, proxy: ProxyId) -> Result<(), After> {
        let Some(stats) = &self.generation.proxy(proxy).stats else { return Ok(()) };
        if stats.uri.is_empty() || !self.parts.request.uri().starts_with(stats.uri.as_bytes()) {
            return Ok(());
        }
        self.parts.txn.server_note = Some("<STATS>");
        Err(self.service("stats").await)
    }
}
