//! One source file as the tidy test sees it: its text, its tokens without comments and strings, its functions.

use std::path::{Path, PathBuf};

use holdfast_tests::workspace;
use proc_macro2::{Delimiter, TokenStream, TokenTree};
use syn::spanned::Spanned;
use syn::visit::Visit;

/// Arms of a `match` up to this length make it a table; tables may be long.
const TABLE_ARM_LINES_MAX: usize = 3;

/// A parsed source file.
pub(crate) struct Source {
    /// Path from the top of the tree.
    pub(crate) path: PathBuf,
    /// Its text.
    pub(crate) text: String,
}

/// A token outside of comments and `cfg(test)`, and its line.
struct Token {
    text: String,
    line: usize,
}

impl Source {
    /// Reads the file at `path` (from the top of the tree).
    pub(crate) fn read(path: &Path) -> Self {
        let text = std::fs::read_to_string(workspace().join(path)).expect("a source file is UTF-8");
        Self { path: path.to_path_buf(), text }
    }

    /// Whether the whole file is test code.
    pub(crate) fn is_test(&self) -> bool {
        self.is_test_module()
            || self.path.components().any(|c| matches!(c.as_os_str().to_str(), Some("tests" | "benches")))
    }

    /// Whether the file is the `tests.rs` of a module, which speaks for itself.
    pub(crate) fn is_test_module(&self) -> bool {
        self.path.file_name().is_some_and(|n| n == "tests.rs")
    }

    /// The first sentence of the module doc.
    pub(crate) fn purpose(&self) -> Option<String> {
        let doc =
            self.text.lines().skip_while(|l| !l.starts_with("//!")).take_while(|l| l.starts_with("//!"));
        let doc: Vec<&str> = doc.map(|l| l[3..].trim()).take_while(|l| !l.is_empty()).collect();
        let doc = doc.join(" ");
        let sentence = doc.split(". ").next().unwrap_or_default();
        let sentence = sentence.trim_end_matches(['.', ':']).replace("[`", "`").replace("`]", "`");
        (!sentence.is_empty()).then_some(sentence)
    }

    /// Lines on which this identifier stands, test code included.
    pub(crate) fn lines_naming(&self, identifier: &str) -> impl Iterator<Item = usize> {
        let mut lines = Vec::new();
        // Tokens cost time; most files don't have the word at all.
        if self.text.contains(identifier) {
            identifiers(self.stream(), &mut |name, line| {
                if name == identifier {
                    lines.push(line);
                }
            });
        }
        lines.into_iter()
    }

    /// What a core may not name, with lines.
    pub(crate) fn impurities(&self) -> Vec<(String, usize)> {
        const CRATES: [&str; 4] = ["tokio", "rand", "nix", "socket2"];
        const SOCKETS: [&str; 6] =
            ["TcpStream", "TcpListener", "UdpSocket", "UnixStream", "UnixListener", "UnixDatagram"];
        const CLOCKS: [&str; 2] = ["Instant", "SystemTime"];
        const MODULES: [&str; 4] = ["fs", "process", "thread", "env"];
        const LOGS: [&str; 9] =
            ["trace", "debug", "info", "warn", "error", "println", "eprintln", "print", "eprint"];
        let tokens = self.tokens();
        let at = |i: usize| tokens.get(i).map_or("", |t| t.text.as_str());
        let mut found = Vec::new();
        for (i, token) in tokens.iter().enumerate() {
            let name = token.text.as_str();
            let path_follows = at(i + 1) == ":" && at(i + 2) == ":";
            let in_std = i >= 3 && at(i - 1) == ":" && at(i - 2) == ":" && at(i - 3) == "std";
            let what = if CRATES.contains(&name) && path_follows || SOCKETS.contains(&name) {
                Some(name.to_owned())
            } else if CLOCKS.contains(&name) && path_follows && at(i + 3) == "now" {
                Some(format!("{name}::now"))
            } else if MODULES.contains(&name) && (in_std || in_std_group(&tokens, i)) {
                Some(format!("std::{name}"))
            } else if LOGS.contains(&name) && at(i + 1) == "!" && at(i + 2) != "=" {
                Some(format!("{name}!"))
            } else {
                None
            };
            found.extend(what.map(|w| (w, token.line)));
        }
        found
    }

    fn tokens(&self) -> Vec<Token> {
        let mut tokens = Vec::new();
        flatten(self.stream(), &mut tokens);
        tokens
    }

    fn stream(&self) -> TokenStream {
        self.text.parse().unwrap_or_else(|e| panic!("{}: not Rust: {e}", self.path.display()))
    }

    /// Placeholders and silenced lints, test code included.
    pub(crate) fn leftovers(&self) -> Vec<(String, usize)> {
        const MACROS: [&str; 3] = ["todo", "unimplemented", "dbg"];
        let mut found = Vec::new();
        if !MACROS.iter().chain(&["allow"]).any(|w| self.text.contains(w)) {
            return found;
        }
        let stream = self.stream();
        let mut previous: Option<(String, usize)> = None;
        walk(stream, &mut |tree| {
            let line = tree.span().start().line;
            match (&tree, &previous) {
                (TokenTree::Punct(p), Some((name, at)))
                    if p.as_char() == '!' && MACROS.contains(&name.as_str()) =>
                {
                    found.push((format!("{name}!"), *at));
                }
                (TokenTree::Group(g), Some((mark, _)))
                    if g.delimiter() == Delimiter::Bracket
                        && (mark == "#" || mark == "!")
                        && g.stream().to_string().starts_with("allow") =>
                {
                    found.push(("#[allow]: use #[expect(lint, reason = \"…\")]".to_owned(), line));
                }
                _ => {}
            }
            previous = Some((tree.to_string(), line));
        });
        found
    }

    /// All functions with a body: name, first line, number of lines. Tables are left out.
    pub(crate) fn functions(&self) -> Vec<(String, usize, usize)> {
        let file = syn::parse_file(&self.text).unwrap_or_else(|e| panic!("{}: {e}", self.path.display()));
        let mut functions = Functions(Vec::new());
        functions.visit_file(&file);
        functions.0
    }
}

/// Whether token `i` is a direct member of `use std::{…}`.
fn in_std_group(tokens: &[Token], i: usize) -> bool {
    let mut depth = 0;
    for j in (0..i).rev() {
        match tokens[j].text.as_str() {
            "}" => depth += 1,
            "{" if depth > 0 => depth -= 1,
            "{" => {
                let before: Vec<&str> =
                    tokens[j.saturating_sub(3)..j].iter().map(|t| t.text.as_str()).collect();
                return before == ["std", ":", ":"];
            }
            ";" => return false,
            _ => {}
        }
    }
    false
}

struct Functions(Vec<(String, usize, usize)>);

impl Functions {
    fn add(&mut self, signature: &syn::Signature, body: &syn::Block) {
        if is_table(body) {
            return;
        }
        let (first, last) = (signature.span().start().line, body.span().end().line);
        self.0.push((signature.ident.to_string(), first, last + 1 - first));
    }
}

/// A body that is one `match` of short arms is a table, like a constant.
fn is_table(body: &syn::Block) -> bool {
    let [syn::Stmt::Expr(syn::Expr::Match(table), None)] = body.stmts.as_slice() else { return false };
    let lines = |arm: &syn::Arm| arm.span().end().line + 1 - arm.span().start().line;
    table.arms.iter().all(|arm| lines(arm) <= TABLE_ARM_LINES_MAX)
}

impl Visit<'_> for Functions {
    fn visit_item_fn(&mut self, node: &syn::ItemFn) {
        self.add(&node.sig, &node.block);
        syn::visit::visit_item_fn(self, node);
    }

    fn visit_impl_item_fn(&mut self, node: &syn::ImplItemFn) {
        self.add(&node.sig, &node.block);
        syn::visit::visit_impl_item_fn(self, node);
    }

    fn visit_trait_item_fn(&mut self, node: &syn::TraitItemFn) {
        if let Some(body) = &node.default {
            self.add(&node.sig, body);
        }
        syn::visit::visit_trait_item_fn(self, node);
    }
}

/// All token trees, depth first, groups before their content.
fn walk(stream: TokenStream, visit: &mut impl FnMut(&TokenTree)) {
    for tree in stream {
        visit(&tree);
        if let TokenTree::Group(group) = tree {
            walk(group.stream(), visit);
        }
    }
}

fn identifiers(stream: TokenStream, visit: &mut impl FnMut(String, usize)) {
    walk(stream, &mut |tree| {
        if let TokenTree::Ident(name) = tree {
            visit(name.to_string(), name.span().start().line);
        }
    });
}

/// Tokens in order, with braces, without what `#[cfg(test)]` guards.
fn flatten(stream: TokenStream, out: &mut Vec<Token>) {
    let mut trees = stream.into_iter().peekable();
    let mut hash = false;
    while let Some(tree) = trees.next() {
        let line = tree.span().start().line;
        match tree {
            TokenTree::Group(group) => {
                if hash && group.stream().to_string().replace(' ', "") == "cfg(test)" {
                    out.pop();
                    for skipped in trees.by_ref() {
                        let ends = match &skipped {
                            TokenTree::Group(g) => g.delimiter() == Delimiter::Brace,
                            TokenTree::Punct(p) => p.as_char() == ';',
                            _ => false,
                        };
                        if ends {
                            break;
                        }
                    }
                } else {
                    let braces = group.delimiter() == Delimiter::Brace;
                    out.extend(braces.then(|| Token { text: "{".to_owned(), line }));
                    flatten(group.stream(), out);
                    out.extend(braces.then(|| Token { text: "}".to_owned(), line }));
                }
                hash = false;
            }
            TokenTree::Literal(_) => hash = false,
            other => {
                let text = other.to_string();
                hash = text == "#";
                out.push(Token { text, line });
            }
        }
    }
}
