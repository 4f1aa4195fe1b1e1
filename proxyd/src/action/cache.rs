//! `http-request cache-use` and `http-response cache-store`.
//!
//! Invariant: a request is looked up before its answer can be stored: the look-up makes the key.

use super::sets::Set;
use super::{Action, Flow, act};
use crate::http::cache::rules::{self, Variant};
use crate::http::cache::{self, Copy, Visit};
use crate::sample::expr::{CacheSlot, Scope};
use crate::stream::view::View;
use conf_parsers::args::Args;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

type Parsed = Result<Box<dyn Action>, String>;

fn named(args: &mut Args<'_>, scope: &mut Scope<'_>) -> Result<Arc<CacheSlot>, String> {
    let name = args.next().ok_or("expects a cache name")?.as_str();
    Ok(scope.refs.cache(name, scope.proxy))
}

/// `cache-use NAME [no-early-hints]`.
pub fn look_up(args: &mut Args<'_>, scope: &mut Scope<'_>, _: Set) -> Parsed {
    let slot = named(args, scope)?;
    // Answers are never announced before they come.
    args.take("no-early-hints");
    Ok(act("cache-use", slot, |slot, view| {
        look(slot, view);
        Flow::Continue
    }))
}

fn look(slot: &CacheSlot, view: &mut View<'_>) -> Option<()> {
    let cache = slot.cache.get()?;
    let in_front = std::ptr::eq(view.proxy, view.generation.proxy(view.session.frontend));
    let (request, txn) = (view.request.as_deref()?, view.txn.as_deref_mut()?);
    if request.version < (1, 1) || request.first(b"authorization").is_some() {
        return None;
    }
    let method = request.method();
    let asks = matches!(method, b"GET" | b"HEAD");
    if txn.cache.is_none() {
        txn.cache = Some(Box::new(Visit {
            key: cache::key(request),
            variant: None,
            may_store: method == b"GET",
            changes: !asks && !matches!(method, b"OPTIONS" | b"TRACE"),
            hit: None,
            served: false,
            copies: Vec::new(),
        }));
    }
    let visit = txn.cache.as_deref_mut()?;
    if !asks {
        return None;
    }
    if cache.settings.process_vary && visit.variant.is_none() {
        visit.variant = Variant::of_request(request);
    }
    if !rules::may_use(request) {
        return None;
    }
    let count = |hit: bool| {
        let counted = view.proxy.name.as_str();
        let at = view
            .generation
            .config
            .proxies
            .iter()
            .position(|p| p.name == counted && std::ptr::eq(p, view.proxy));
        let Some(state) = at.map(|at| &view.generation.proxies[at]) else { return };
        let counter = match (in_front, hit) {
            (true, false) => &state.front.cache_lookups,
            (true, true) => &state.front.cache_hits,
            (false, false) => &state.back.cache_lookups,
            (false, true) => &state.back.cache_hits,
        };
        counter.fetch_add(1, Relaxed);
    };
    count(false);
    let found = cache.find(&visit.key, visit.variant.as_ref(), view.now)?;
    visit.hit = Some((Arc::clone(cache), found));
    count(true);
    Some(())
}

/// `cache-store NAME`.
pub fn store(args: &mut Args<'_>, scope: &mut Scope<'_>, _: Set) -> Parsed {
    let slot = named(args, scope)?;
    Ok(act("cache-store", slot, |slot, view| {
        keep(slot, view);
        Flow::Continue
    }))
}

fn keep(slot: &CacheSlot, view: &mut View<'_>) -> Option<()> {
    let cache = slot.cache.get()?;
    let (response, txn) = (view.response.as_deref_mut()?, view.txn.as_deref_mut()?);
    let visit = txn.cache.as_deref_mut()?;
    if visit.served {
        return None;
    }
    if visit.changes {
        if matches!(response.status(), 200..=399) {
            cache.forget(&visit.key);
        }
        return None;
    }
    if !visit.may_store {
        return None;
    }
    let wall = cache::seconds(view.wall);
    let kept = rules::judge(&cache.settings, response, visit.variant.as_ref(), view.now, wall)?;
    if !cache.has_room(&visit.key, kept.varies, &kept.variant, view.now) {
        return None;
    }
    response.remove(b"age");
    let copy = Copy::new(cache, kept, visit, response.clone());
    visit.copies.push(copy);
    Some(())
}
