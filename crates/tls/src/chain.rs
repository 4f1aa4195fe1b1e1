//! Chains of certificates judged by OpenSSL's rules, each fault with its number (`X509_V_ERR_…`) and depth, as rules
//! and `crt-ignore-err` see them.
//!
//! Own code because no library tells OpenSSL's numbers, goes on behind a fault, or takes certificates of version 1;
//! signatures are checked by the provider, structures are read by `x509-parser`. Constraints on names are left to the
//! library's verifier ([`Judgement::constrained`] says that it must be asked).
//!
//! Invariant: pure; a chain without faults ends in a self-signed certificate that is trusted.

use crate::facts::{Facts, List};

/// Longest chain that is built; OpenSSL's default is 100.
const DEPTH_MAX: usize = 100;
/// Bits that keys of RSA need at OpenSSL's level 2.
const RSA_BITS_MIN: usize = 2048;

/// What a certificate at depth 0 must be fit for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// It says who a client is.
    Client,
    /// It says who a server is.
    Server,
}

/// One fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// 0 is the peer's own certificate, 1 its issuer's …
    pub depth: usize,
    /// OpenSSL's number.
    pub number: u32,
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Judgement {
    /// All faults, in OpenSSL's order.
    pub faults: Vec<Fault>,
    /// A certificate of the chain constrains names.
    pub constrained: bool,
}

/// What a chain is judged by.
#[derive(Debug, Clone, Copy)]
pub struct Trust<'a> {
    /// Trusted certificates.
    pub anchors: &'a [Facts],
    /// Lists of revoked certificates; `None` where nobody asked for them.
    pub revocations: Option<&'a [List]>,
    /// What for.
    pub purpose: Purpose,
    /// Seconds since 1970.
    pub now: i64,
}

/// Judges the certificates that a peer showed, its own first.
pub fn judge(shown: &[Facts], trust: &Trust<'_>) -> Judgement {
    let mut found = Judgement::default();
    let Some(first) = shown.first() else { return found };
    let (chain, end) = build(first, &shown[1..], trust);
    found.constrained = chain.iter().any(|c| c.name_constraints);
    let faults = &mut found.faults;
    if let Some(number) = end {
        faults.push(Fault { depth: chain.len() - 1, number });
    }
    extensions(&chain, trust.purpose, faults);
    strength(&chain, faults);
    if let Some(lists) = trust.revocations {
        revoked(&chain, lists, trust.now, faults);
    }
    signatures(&chain, trust.now, faults);
    found
}

/// The chain from the first certificate on, and what is wrong with its end.
fn build<'a>(first: &'a Facts, shown: &'a [Facts], trust: &Trust<'a>) -> (Vec<&'a Facts>, Option<u32>) {
    let mut chain = vec![first];
    let mut trusted = 0;
    loop {
        let top = chain[chain.len() - 1];
        if chain.len() > DEPTH_MAX {
            return (chain, Some(22));
        }
        if top.self_issued() {
            let known = trusted > 0 || trust.anchors.iter().any(|a| a.der == top.der);
            let number = if chain.len() == 1 { 18 } else { 19 };
            return (chain, (!known).then_some(number));
        }
        if let Some(issuer) = best(top, trust.anchors, trust.now) {
            trusted += 1;
            chain.push(issuer);
            continue;
        }
        if trusted == 0
            && let Some(issuer) = best(top, shown, trust.now)
            && !chain.iter().any(|c| std::ptr::eq(*c, issuer))
        {
            chain.push(issuer);
            continue;
        }
        // An anchor that the peer showed itself is none the less one, but no end of a chain.
        let number = if trusted > 0 { 2 } else { 20 };
        return (chain, Some(number));
    }
}

/// The issuer of a certificate among some: one that is valid now goes before others.
fn best<'a>(of: &Facts, among: &'a [Facts], now: i64) -> Option<&'a Facts> {
    let mut fits = among.iter().filter(|c| c.may_have_issued(of));
    let first = fits.clone().next()?;
    fits.find(|c| c.not_before <= now && now <= c.not_after).or(Some(first))
}

fn extensions(chain: &[&Facts], purpose: Purpose, faults: &mut Vec<Fault>) {
    let mut below = 0; // intermediate certificates that are not self-issued, for lengths of paths
    for (depth, card) in chain.iter().enumerate() {
        let mut say = |number| faults.push(Fault { depth, number });
        if card.unknown_critical {
            say(34);
        }
        if depth > 0 && !card.is_authority() {
            say(79);
        }
        if !card.fit_for(purpose, depth > 0) {
            say(26);
        }
        if depth > 0 && card.path_len.is_some_and(|most| below > most) {
            say(25);
        }
        if depth > 0 && !card.self_issued() {
            below += 1;
        }
    }
}

fn strength(chain: &[&Facts], faults: &mut Vec<Fault>) {
    for (depth, card) in chain.iter().enumerate() {
        if card.rsa_bits.is_some_and(|bits| bits < RSA_BITS_MIN) {
            faults.push(Fault { depth, number: if depth == 0 { 66 } else { 67 } });
        }
        let own_word = depth == chain.len() - 1 && card.self_issued();
        if !own_word && card.weak_digest() {
            faults.push(Fault { depth, number: 68 });
        }
    }
}

fn revoked(chain: &[&Facts], lists: &[List], now: i64, faults: &mut Vec<Fault>) {
    for (depth, card) in chain.iter().enumerate() {
        let mut say = |number| faults.push(Fault { depth, number });
        let current = |l: &&List| l.this_update <= now && l.next_update.is_none_or(|n| now <= n);
        let mut of = lists.iter().filter(|l| l.issuer == card.issuer);
        let Some(first) = of.clone().next() else {
            say(3);
            continue;
        };
        let list = of.find(current).unwrap_or(first);
        let signer = chain.get(depth + 1).or_else(|| chain.get(depth).filter(|c| c.self_issued()));
        match signer {
            None => say(33),
            Some(signer) if !signer.may_sign_lists() => say(35),
            Some(signer) if !signer.signed(&list.signed) => say(8),
            Some(_) => {}
        }
        if list.this_update > now {
            say(11);
        } else if list.next_update.is_some_and(|n| n < now) {
            say(12);
        }
        if list.serials.binary_search(&card.serial).is_ok() {
            say(23);
        }
    }
}

fn signatures(chain: &[&Facts], now: i64, faults: &mut Vec<Fault>) {
    for depth in (0..chain.len()).rev() {
        let card = chain[depth];
        let mut say = |number| faults.push(Fault { depth, number });
        match chain.get(depth + 1) {
            Some(issuer) if !issuer.signed(&card.signed) => say(7),
            None if chain.len() == 1 && !card.self_issued() => say(21),
            _ => {}
        }
        if card.not_before > now {
            say(9);
        } else if card.not_after < now {
            say(10);
        }
    }
}

#[cfg(test)]
mod tests;
