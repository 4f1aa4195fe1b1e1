//! Named ACLs, anonymous ones, and conditions made of them.
//!
//! Invariant: a condition has three answers, since a rule on bytes that have not arrived yet must wait, not guess.
//!
//! Absent on purpose: syntax of conditions (conf-parsers), patterns (`matcher.rs`), lists (`file.rs`).

pub mod file;
pub mod matcher;

#[cfg(test)]
mod tests;

use crate::fetch;
use crate::sample::expr::{Cursor, Expr, IN_ACL, Scope, gather};
use crate::sample::source::Points;
use crate::sample::{Type, Value};
use crate::stream::view::View;
use conf_parsers::Word;
use conf_parsers::haproxy::expr::{self as syntax, AclRef};
use file::PatSet;
use matcher::{Flags, Method, comparison, parse};
use std::collections::HashMap;
use std::sync::Arc;

/// A condition's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It holds.
    Yes,
    /// It does not.
    No,
    /// Not known before more bytes arrive.
    Unknown,
}

impl Answer {
    fn not(self) -> Self {
        match self {
            Self::Yes => Self::No,
            Self::No => Self::Yes,
            Self::Unknown => Self::Unknown,
        }
    }
}

/// An expression compared with patterns.
#[derive(Debug)]
struct Test {
    expr: Expr,
    method: Method,
    sets: Vec<PatSet>,
}

/// An ACL: true when one of its lines is.
#[derive(Debug, Default)]
pub struct Acl {
    /// The name; `<anonymous>` for one between braces.
    pub name: String,
    tests: Vec<Arc<Test>>,
}

/// One term of a condition.
#[derive(Debug, Clone)]
struct Term {
    negated: bool,
    acl: Arc<Acl>,
}

/// `if …` or `unless …`, compiled.
#[derive(Debug, Clone)]
pub struct Condition {
    unless: bool,
    any: Vec<Vec<Term>>,
}

/// Predefined ACLs, chapter 7.4 of the manual.
pub static PREDEFINED: &[(&str, &str)] = &[
    ("TRUE", "always_true"),
    ("FALSE", "always_false"),
    ("LOCALHOST", "src 127.0.0.1/8 ::1"),
    ("HTTP", "req.proto_http"),
    ("HTTP_1.0", "req.ver 1.0"),
    ("HTTP_1.1", "req.ver 1.1"),
    ("HTTP_2.0", "req.ver 2.0"),
    ("HTTP_3.0", "req.ver 3.0"),
    ("METH_CONNECT", "method CONNECT"),
    ("METH_DELETE", "method DELETE"),
    ("METH_GET", "method GET HEAD"),
    ("METH_HEAD", "method HEAD"),
    ("METH_OPTIONS", "method OPTIONS"),
    ("METH_POST", "method POST"),
    ("METH_PUT", "method PUT"),
    ("METH_TRACE", "method TRACE"),
    ("HTTP_URL_ABS", "url_reg ^[^/:]*://"),
    ("HTTP_URL_SLASH", "url_beg /"),
    ("HTTP_URL_STAR", "url *"),
    ("HTTP_CONTENT", "req.hdr_val(content-length) gt 0"),
    ("RDP_COOKIE", "req.rdp_cookie_cnt gt 0"),
    ("REQ_CONTENT", "req.len gt 0"),
    ("WAIT_END", "wait_end"),
];

/// ACL keywords that stand for a fetch with a method, as `haproxy -dKacl` prints them.
pub static ALIASES: &[(&str, &str, Method)] = &[
    ("base", "base", Method::Str),
    ("base_beg", "base", Method::Beg),
    ("base_dir", "base", Method::Dir),
    ("base_dom", "base", Method::Dom),
    ("base_end", "base", Method::End),
    ("base_len", "base", Method::Len),
    ("base_reg", "base", Method::Reg),
    ("base_sub", "base", Method::Sub),
    ("cook", "req.cook", Method::Str),
    ("cook_beg", "req.cook", Method::Beg),
    ("cook_dir", "req.cook", Method::Dir),
    ("cook_dom", "req.cook", Method::Dom),
    ("cook_end", "req.cook", Method::End),
    ("cook_len", "req.cook", Method::Len),
    ("cook_reg", "req.cook", Method::Reg),
    ("cook_sub", "req.cook", Method::Sub),
    ("hdr", "req.hdr", Method::Str),
    ("hdr_beg", "req.hdr", Method::Beg),
    ("hdr_dir", "req.hdr", Method::Dir),
    ("hdr_dom", "req.hdr", Method::Dom),
    ("hdr_end", "req.hdr", Method::End),
    ("hdr_len", "req.hdr", Method::Len),
    ("hdr_reg", "req.hdr", Method::Reg),
    ("hdr_sub", "req.hdr", Method::Sub),
    ("http_auth_group", "http_auth_group", Method::Str),
    ("method", "method", Method::Str),
    ("path", "path", Method::Str),
    ("path_beg", "path", Method::Beg),
    ("path_dir", "path", Method::Dir),
    ("path_dom", "path", Method::Dom),
    ("path_end", "path", Method::End),
    ("path_len", "path", Method::Len),
    ("path_reg", "path", Method::Reg),
    ("path_sub", "path", Method::Sub),
    ("payload", "req.payload", Method::Bin),
    ("payload_lv", "req.payload_lv", Method::Bin),
    ("req.ssl_ver", "req.ssl_ver", Method::Int),
    ("req_rdp_cookie", "req.rdp_cookie", Method::Str),
    ("req_rdp_cookie_cnt", "req.rdp_cookie_cnt", Method::Int),
    ("req_ssl_sni", "req.ssl_sni", Method::Str),
    ("req_ssl_ver", "req.ssl_ver", Method::Int),
    ("req_ver", "req.ver", Method::Str),
    ("resp_ver", "res.ver", Method::Str),
    ("scook", "res.cook", Method::Str),
    ("scook_beg", "res.cook", Method::Beg),
    ("scook_dir", "res.cook", Method::Dir),
    ("scook_dom", "res.cook", Method::Dom),
    ("scook_end", "res.cook", Method::End),
    ("scook_len", "res.cook", Method::Len),
    ("scook_reg", "res.cook", Method::Reg),
    ("scook_sub", "res.cook", Method::Sub),
    ("shdr", "res.hdr", Method::Str),
    ("shdr_beg", "res.hdr", Method::Beg),
    ("shdr_dir", "res.hdr", Method::Dir),
    ("shdr_dom", "res.hdr", Method::Dom),
    ("shdr_end", "res.hdr", Method::End),
    ("shdr_len", "res.hdr", Method::Len),
    ("shdr_reg", "res.hdr", Method::Reg),
    ("shdr_sub", "res.hdr", Method::Sub),
    ("ssl_fc_sni_end", "ssl_fc_sni", Method::End),
    ("ssl_fc_sni_reg", "ssl_fc_sni", Method::Reg),
    ("url", "url", Method::Str),
    ("url_beg", "url", Method::Beg),
    ("url_dir", "url", Method::Dir),
    ("url_dom", "url", Method::Dom),
    ("url_end", "url", Method::End),
    ("url_len", "url", Method::Len),
    ("url_reg", "url", Method::Reg),
    ("url_sub", "url", Method::Sub),
    ("urlp", "urlp", Method::Str),
    ("urlp_beg", "urlp", Method::Beg),
    ("urlp_dir", "urlp", Method::Dir),
    ("urlp_dom", "urlp", Method::Dom),
    ("urlp_end", "urlp", Method::End),
    ("urlp_len", "urlp", Method::Len),
    ("urlp_reg", "urlp", Method::Reg),
    ("urlp_sub", "urlp", Method::Sub),
];

/// Compiles `acl NAME CRITERION [flags] [operator] [patterns]` and merges it with what the name holds already.
/// The error is haproxy's text behind "error detected while parsing ACL 'x' : ".
pub fn define(
    acls: &mut HashMap<String, Arc<Acl>>,
    name: &str,
    words: &[Word],
    scope: &mut Scope<'_>,
) -> Result<(), String> {
    let test = Arc::new(Test::compile(words, scope, name)?);
    let entry = acls.entry(name.to_owned()).or_default();
    let mut tests = entry.tests.clone();
    tests.push(test);
    *entry = Arc::new(Acl { name: name.to_owned(), tests });
    Ok(())
}

/// What the warning about an ACL without patterns begins with; no place leads it.
pub const NO_PATTERN_LEAD: &str = "parsing acl keyword ";

const NO_PATTERN: &str = "\n  no pattern to match against were provided, so this ACL will never match.\n  If this is \
    what you intended, please add '--' to get rid of this warning.\n  If you intended to match only for existence, \
    please use '-m found'.\n  If you wanted to force an int to match as a bool, please use '-m bool'.\n";

impl Test {
    fn compile(words: &[Word], scope: &mut Scope<'_>, acl: &str) -> Result<Self, String> {
        let Some(first) = words.first() else {
            return Err("missing fetch method in ACL expression ''".into());
        };
        let text = first.as_str();
        // What haproxy takes for converters in words of their own it takes for patterns, too.
        let (whole, _) = gather(text, words[1..].iter().map(Word::as_str));
        let mut tree = syntax::expression(&whole)?;
        let alias = ALIASES.iter().find(|(n, _, _)| *n == tree.fetch.name);
        if alias.is_some() {
            tree = syntax::expression(text.trim_end_matches(','))?;
        }
        let fetch = match alias {
            Some((_, fetch, _)) => fetch::find(fetch),
            None => fetch::find(&tree.fetch.name),
        };
        let Some(fetch) = fetch else {
            return Err(format!("unknown fetch method '{}' in ACL expression '{text}'", tree.fetch.name));
        };
        let outer = std::mem::replace(&mut scope.within, IN_ACL);
        let expr = Expr::with_fetch(fetch, &tree, scope);
        scope.within = outer;
        let expr = expr.map_err(|e| match (alias, &tree.fetch.name) {
            (None, _) => format!("{e} in ACL expression '{text}'"),
            (Some(_), name) => match e.strip_prefix("fetch method '") {
                Some(fault) => format!("ACL keyword '{fault}"),
                None => format!("ACL keyword '{name}' : {e}."),
            },
        })?;
        let mut options = Options::read(&words[1..], expr.fetch_name())?;
        let preset = alias.filter(|_| tree.converters.is_empty()).map(|(_, _, m)| *m);
        let method = options.method.or(preset).or_else(|| Method::default_for(expr.output));
        if words.len() == 1 && method.is_some_and(|m| !matches!(m, Method::Found | Method::Bool)) {
            scope.warnings.push(format!("{NO_PATTERN_LEAD}'{text}' :{NO_PATTERN}"));
        }
        let Some(method) = method else {
            return Err(format!(
                "matching method must be specified first (using '-m') when using a sample fetch of this type ('{}')",
                tree.fetch.name
            ));
        };
        // haproxy compares known methods by number, so case is never ignored.
        options.flags.ignore_case &= expr.output != Type::Method;
        options.flags.dotted = matches!(expr.fetch_name(), "req.ssl_ver" | "req_ssl_ver");
        let sets = options.patterns(method, scope, acl, text)?;
        Ok(Self { expr, method, sets })
    }

    fn check(&self, view: &View<'_>) -> Answer {
        let mut cursor = Cursor::default();
        loop {
            cursor.more = false;
            let value = self.expr.next(view, &mut cursor);
            if let Some(value) = value
                && self.compare(value)
            {
                return Answer::Yes;
            }
            if !cursor.more {
                return if cursor.pending { Answer::Unknown } else { Answer::No };
            }
        }
    }

    fn compare(&self, value: Value<'_>) -> bool {
        match self.method {
            Method::Found => true,
            Method::Bool => value.truthy(),
            method => match value.cast(method.wants()) {
                Some(value) => self.sets.iter().any(|s| s.matches(&value)),
                None => false,
            },
        }
    }
}

/// What stands between an ACL's expression and its patterns.
struct Options<'w> {
    method: Option<Method>,
    flags: Flags,
    files: Vec<&'w str>,
    rest: &'w [Word],
}

impl<'w> Options<'w> {
    fn read(words: &'w [Word], _fetch: &str) -> Result<Self, String> {
        let mut out = Self { method: None, flags: Flags::default(), files: Vec::new(), rest: &[] };
        let mut i = 0;
        while let Some(word) = words.get(i) {
            let value = || words.get(i + 1).map_or("", |w| w.as_str());
            match word.as_str() {
                "-i" => out.flags.ignore_case = true,
                "-n" => out.flags.no_dns = true,
                "-M" => out.flags.map_file = true,
                "-u" => {
                    value().parse::<u32>().map_err(|_| "the argument of -u must be an integer")?;
                    i += 1;
                }
                "-f" => {
                    out.files.push(value());
                    i += 1;
                }
                "-m" => {
                    out.method = Some(Method::named(value()).ok_or_else(|| {
                        format!("unknown matching method '{}' when parsing ACL expression", value())
                    })?);
                    i += 1;
                }
                "--" => {
                    i += 1;
                    break;
                }
                text if text.starts_with('-') => {
                    return Err(format!(
                        "'{text}' is not a valid ACL option. Please use '--' before any pattern beginning with a '-'"
                    ));
                }
                _ => break,
            }
            i += 1;
        }
        out.rest = words.get(i..).unwrap_or(&[]);
        Ok(out)
    }

    fn patterns(
        &self,
        method: Method,
        scope: &mut Scope<'_>,
        acl: &str,
        text: &str,
    ) -> Result<Vec<PatSet>, String> {
        let (file, line) = scope.origin;
        let mut sets = Vec::new();
        for name in &self.files {
            let display =
                format!("pattern loaded from file '{name}' used by acl at file '{file}' line {line}");
            let list = scope.files.open(name, self.flags.map_file, display)?;
            sets.push(list.index(method, self.flags)?);
        }
        if self.rest.is_empty() {
            return Ok(sets);
        }
        let _ = acl;
        let list = scope.files.inline(format!("acl '{text}' file '{file}' line {line}"));
        list.is_acl.store(true, std::sync::atomic::Ordering::Relaxed);
        let set = list.index(method, self.flags)?;
        let numeric = matches!(method, Method::Int | Method::Len);
        let mut operator: Option<&str> = None;
        for word in self.rest {
            let word = word.as_str();
            if numeric && word == "--" {
                continue;
            }
            if numeric && matches!(word, "eq" | "ge" | "gt" | "le" | "lt") {
                operator = Some(word);
                continue;
            }
            if let Some(operator) = operator {
                set.insert_parsed(word, comparison(operator, word, self.flags.dotted)?);
            } else {
                let first = self.rest.first().is_some_and(|w| w.as_str() == word);
                if numeric && first && self.rest.len() > 1 && word.starts_with(char::is_alphabetic) {
                    return Err(format!("'{word}' is neither a number nor a supported operator"));
                }
                parse(method, self.flags, word)?;
                list.add(word, "")?;
            }
        }
        sets.push(set);
        Ok(sets)
    }
}

impl Condition {
    /// Compiles a parsed condition; the error is haproxy's text behind "error detected while parsing … : ".
    pub fn compile(tree: &syntax::Condition, scope: &mut Scope<'_>) -> Result<Self, String> {
        let mut any = Vec::with_capacity(tree.any.len());
        for all in &tree.any {
            let mut terms = Vec::with_capacity(all.len());
            for term in all {
                let acl = match &term.acl {
                    AclRef::Named(word) => named(word.as_str(), scope)?,
                    AclRef::Anonymous(words) => Arc::new(Acl {
                        name: "<anonymous>".into(),
                        tests: vec![Arc::new(Test::compile(words, scope, "<anonymous>")?)],
                    }),
                };
                terms.push(Term { negated: term.negated, acl });
            }
            any.push(terms);
        }
        Ok(Self { unless: tree.unless, any })
    }

    /// Whether the condition holds now.
    pub fn check(&self, view: &View<'_>) -> Answer {
        let mut answer = Answer::No;
        for all in &self.any {
            let mut every = Answer::Yes;
            for term in all {
                let one = term.acl.check(view);
                match if term.negated { one.not() } else { one } {
                    Answer::No => {
                        every = Answer::No;
                        break;
                    }
                    Answer::Unknown => every = Answer::Unknown,
                    Answer::Yes => {}
                }
            }
            match every {
                Answer::Yes => {
                    answer = Answer::Yes;
                    break;
                }
                Answer::Unknown => answer = Answer::Unknown,
                Answer::No => {}
            }
        }
        if self.unless { answer.not() } else { answer }
    }

    /// Whether it holds, where nothing may wait: what is not known does not hold.
    pub fn holds(&self, view: &View<'_>) -> bool {
        match self.check(view) {
            Answer::Yes => true,
            Answer::No => false,
            Answer::Unknown => self.unless,
        }
    }

    /// Warnings about ACLs that can't be decided at `at`, in haproxy's words.
    /// `rule` names the kind of rule where haproxy does.
    pub fn misplaced(&self, at: Points, place: &str, rule: Option<&str>) -> Vec<String> {
        let mut out = Vec::new();
        let within = rule.map_or_else(String::new, |name| format!(" in '{name}'"));
        for term in self.any.iter().flatten() {
            let bad = |t: &&Arc<Test>| !t.expr.points().covers_any(at);
            if let Some(test) = term.acl.tests.iter().find(bad) {
                let all = term.acl.tests.iter().all(|t| bad(&t));
                let name = &term.acl.name;
                out.push(match (all, name.as_str()) {
                    (true, "<anonymous>") => format!(
                        "anonymous acl will never match{within} because it uses keyword '{}' which is incompatible with '{place}'",
                        keyword(&test.expr.text)
                    ),
                    (true, _) => format!(
                        "acl '{name}' will never match{within} because it only involves keywords that are incompatible with '{place}'"
                    ),
                    (false, _) => format!(
                        "acl '{name}' involves keyword '{}' which is incompatible with '{place}'",
                        keyword(&test.expr.text)
                    ),
                });
            }
        }
        out
    }

    /// Whether any of its expressions reads the request.
    pub fn of_request(&self) -> bool {
        self.any.iter().flatten().flat_map(|t| &t.acl.tests).any(|t| t.expr.source().of_request())
    }

    /// Whether any of its expressions needs an HTTP message.
    pub fn needs_http(&self) -> bool {
        self.any.iter().flatten().flat_map(|t| &t.acl.tests).any(|t| t.expr.source().needs_http())
    }
}

/// The fetch of an expression, without its arguments and converters.
fn keyword(expression: &str) -> &str {
    expression.split(['(', ',']).next().unwrap_or(expression)
}

impl Acl {
    /// Its answer.
    pub fn check(&self, view: &View<'_>) -> Answer {
        let mut answer = Answer::No;
        for test in &self.tests {
            match test.check(view) {
                Answer::Yes => return Answer::Yes,
                Answer::Unknown => answer = Answer::Unknown,
                Answer::No => {}
            }
        }
        answer
    }

    /// Whether the ACL holds now; what is not known does not.
    pub fn holds(&self, view: &View<'_>) -> bool {
        self.check(view) == Answer::Yes
    }
}

/// A named ACL: the proxy's own, else a predefined one.
pub fn named(name: &str, scope: &mut Scope<'_>) -> Result<Arc<Acl>, String> {
    if let Some(acl) = scope.acls.get(name) {
        return Ok(Arc::clone(acl));
    }
    let Some((_, text)) = PREDEFINED.iter().find(|(n, _)| *n == name) else {
        return Err(format!("no such ACL : '{name}'"));
    };
    let span = diag::Span::new(diag::FileId(0), 0, 0);
    let words: Vec<Word> = text.split(' ').map(|w| Word::new(w, span)).collect();
    let test = Test::compile(&words, scope, name)?;
    Ok(Arc::new(Acl { name: name.to_owned(), tests: vec![Arc::new(test)] }))
}

/// The type in which a method compares, for `haproxy`-like checks elsewhere.
pub fn compared_type(method: Method) -> Type {
    method.wants()
}
