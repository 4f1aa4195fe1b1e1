//! All rule lines of a proxy, in their order: `acl`, `tcp-request` and its kin, `http-request` and its kin,
//! `redirect`, `stick-table`, `stick`. The configuration layer hands lines in and takes [`Compiled`] out.
//!
//! Invariant: a rule sees the ACLs of the lines before it and no other.

use super::flow::duration;
use super::redirect;
use super::sets::{Set, rule};
use super::{Rule, RuleSets};
use crate::acl::{Acl, define};
use crate::config::model::{ErrorReply, Kind, Mode};
use crate::sample::expr::{Captures, FormatsSeen, Refs, Scope};
use crate::stick::{StickRules, TableSpec, parse as stick};
use conf_parsers::{Line, Word};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

/// What stays the same for all lines of a proxy.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The proxy's name.
    pub proxy: &'a str,
    /// Its section.
    pub kind: Kind,
    /// Its mode.
    pub mode: Mode,
    /// Pattern and map files of the process.
    pub files: &'a crate::acl::file::PatRefs,
    /// `http-errors` sections by name.
    pub http_errors: &'a BTreeMap<String, Arc<BTreeMap<u16, ErrorReply>>>,
    /// `tune.stick-counters`.
    pub stick_counters: usize,
}

/// The rules of a proxy while and after its lines are read.
#[derive(Debug, Default)]
pub struct Compiled {
    tcp_connection: Vec<Rule>,
    tcp_session: Vec<Rule>,
    tcp_request: Vec<Rule>,
    tcp_response: Vec<Rule>,
    http_request: Vec<Rule>,
    http_response: Vec<Rule>,
    http_after_response: Vec<Rule>,
    inspect: [Option<Duration>; 2],
    /// Named ACLs.
    pub acls: HashMap<String, Arc<Acl>>,
    /// `stick-table`.
    pub stick_table: Option<TableSpec>,
    /// `stick …`.
    pub stick_rules: StickRules,
    /// Capture slots; set [`Captures::count`] to the declared ones before the first line.
    pub captures: Captures,
    /// Names to be bound later; go to `Config::refs`.
    pub refs: Refs,
    /// Warnings of the line just read, in haproxy's words; the caller takes them out.
    pub warnings: Vec<String>,
    /// Faults that are told once the whole file was read.
    pub late: Vec<String>,
    /// What formats asked for.
    pub formats: FormatsSeen,
}

impl Compiled {
    /// Runs something in the scope of a line: for `use_backend`, `monitor fail`, log formats and others that need
    /// the proxy's ACLs.
    pub fn scoped<R>(
        &mut self,
        place: Place<'_>,
        origin: (&str, usize),
        run: impl FnOnce(&mut Scope<'_>) -> R,
    ) -> R {
        let mut scope = Scope {
            proxy: place.proxy,
            kind: place.kind,
            mode: place.mode,
            origin,
            within: "",
            files: place.files,
            acls: &self.acls,
            refs: &mut self.refs,
            late: &mut self.late,
            warnings: &mut self.warnings,
            stick_counters: place.stick_counters,
            formats: &mut self.formats,
            captures: &mut self.captures,
            http_errors: place.http_errors,
        };
        run(&mut scope)
    }

    /// Reads one line. The error is haproxy's text behind `parsing [file:line] : `.
    pub fn line(&mut self, line: &Line, place: Place<'_>, origin: (&str, usize)) -> Result<(), String> {
        let (keyword, words) = (&line.words[0], &line.words[1..]);
        match keyword.as_str() {
            "acl" => {
                let name = words.first().map_or("", |w| w.as_str()).to_owned();
                let mut acls = self.acls.clone();
                let rest = words.get(1..).unwrap_or(&[]);
                self.scoped(place, origin, |s| define(&mut acls, &name, rest, s))
                    .map_err(|e| format!("error detected while parsing ACL '{name}' : {e}."))?;
                self.acls = acls;
            }
            "http-request" => self.rule(Set::Request, words, place, origin)?,
            "http-response" => self.rule(Set::Response, words, place, origin)?,
            "http-after-response" => self.rule(Set::AfterResponse, words, place, origin)?,
            "redirect" => {
                let rule = self.scoped(place, origin, |s| redirect::line(words, keyword, s))?;
                self.http_request.push(rule);
            }
            "tcp-request" | "tcp-response" => self.tcp(keyword, words, place, origin)?,
            "stick-table" => {
                let mut args = line.args();
                let spec = stick::table(place.proxy, &mut args, &mut self.warnings)?;
                self.stick_table = Some(spec);
            }
            "stick" => {
                let mut rules = std::mem::take(&mut self.stick_rules);
                let done = self.scoped(place, origin, |s| stick::rule(&mut rules, words, keyword, s));
                self.stick_rules = rules;
                done?;
            }
            other => return Err(format!("unknown keyword '{other}' among rules.")),
        }
        Ok(())
    }

    fn rule(
        &mut self,
        set: Set,
        words: &[Word],
        place: Place<'_>,
        origin: (&str, usize),
    ) -> Result<(), String> {
        let rule = self.scoped(place, origin, |s| rule(set, words, s))?;
        let list = match set {
            Set::Connection => &mut self.tcp_connection,
            Set::Session => &mut self.tcp_session,
            Set::RequestContent => &mut self.tcp_request,
            Set::ResponseContent => &mut self.tcp_response,
            Set::Request => &mut self.http_request,
            Set::Response => &mut self.http_response,
            Set::AfterResponse => &mut self.http_after_response,
        };
        list.push(rule);
        Ok(())
    }

    fn tcp(
        &mut self,
        keyword: &Word,
        words: &[Word],
        place: Place<'_>,
        origin: (&str, usize),
    ) -> Result<(), String> {
        let side = match place.kind {
            Kind::Frontend => "frontend",
            Kind::Backend => "backend",
            Kind::Listen => "proxy",
        };
        let (key, name) = (keyword.as_str(), place.proxy);
        let request = key == "tcp-request";
        let rest = words.get(1..).unwrap_or(&[]);
        match words.first().map_or("", |w| w.as_str()) {
            "" => Err(format!("missing argument for '{key}' in {side} '{name}'")),
            "inspect-delay" => {
                let text = rest.first().map_or("", |w| w.as_str());
                let usage = format!(
                    "'{key} inspect-delay' expects a positive delay in milliseconds, in {side} '{name}'"
                );
                let Some(delay) = duration(text) else {
                    let odd = text.chars().find(|c| !c.is_ascii_digit());
                    let odd = odd.map_or(String::new(), |c| format!(" (unexpected character '{c}')"));
                    return Err(format!("{usage}{odd}"));
                };
                self.inspect[usize::from(!request)] = Some(delay);
                Ok(())
            }
            "connection" | "session" if request && !place.kind.is_front() => Err(format!(
                "{key} {} is not allowed because {side} {name} is not a frontend",
                words[0].as_str()
            )),
            "connection" if request => self.rule(Set::Connection, rest, place, origin),
            "session" if request => self.rule(Set::Session, rest, place, origin),
            "content" if request => self.rule(Set::RequestContent, rest, place, origin),
            "content" => self.rule(Set::ResponseContent, rest, place, origin),
            // `tcp-request accept|reject` of version 1.3 was about contents.
            old @ ("accept" | "reject") if request => {
                self.warnings.push(format!(
                    "'tcp-request {old}' is the syntax of old versions; please use 'tcp-request content {old}'."
                ));
                self.rule(Set::RequestContent, words, place, origin)
            }
            other if request => Err(format!(
                "'{key}' expects 'inspect-delay', 'connection', or 'content' in {side} '{name}' (got '{other}')"
            )),
            other => Err(format!(
                "'{key}' expects 'inspect-delay' or 'content' in {side} '{name}' (got '{other}')"
            )),
        }
    }

    /// The rule sets, and with them everything else that was read; sets of a defaults section go before.
    pub fn rule_sets(&mut self) -> RuleSets {
        fn one(list: &mut Vec<Rule>) -> Vec<super::RuleSet> {
            if list.is_empty() { Vec::new() } else { vec![Arc::new(std::mem::take(list))] }
        }
        RuleSets {
            tcp_req_conn: one(&mut self.tcp_connection),
            tcp_req_sess: one(&mut self.tcp_session),
            tcp_req_cont: one(&mut self.tcp_request),
            tcp_res_cont: one(&mut self.tcp_response),
            http_req: one(&mut self.http_request),
            http_res: one(&mut self.http_response),
            http_after_res: one(&mut self.http_after_response),
            req_inspect_delay: self.inspect[0],
            res_inspect_delay: self.inspect[1],
        }
    }
}
