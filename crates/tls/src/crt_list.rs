//! `crt-list` files: `FILE [options] filter…`, one a line (configuration manual, 5.1).
//!
//! Pure: text in, lines out. Absent on purpose: which options there are.

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Its number, from 1.
    pub number: usize,
    /// The certificate's file.
    pub file: String,
    /// Words between brackets.
    pub options: Vec<String>,
    /// Names, wildcards and `!` exceptions.
    pub filters: Vec<String>,
}

/// Reads a whole file; blank lines and comments say nothing.
///
/// # Errors
/// The number of a line whose brackets don't close.
pub fn parse(text: &str) -> Result<Vec<Line>, usize> {
    let mut lines = Vec::new();
    for (at, text) in text.lines().enumerate() {
        let text = text.split_once('#').map_or(text, |(before, _)| before).trim();
        if text.is_empty() {
            continue;
        }
        let end = text.find(|c: char| c.is_whitespace() || c == '[').unwrap_or(text.len());
        let (file, rest) = text.split_at(end);
        let rest = rest.trim();
        let (options, filters) = match rest.strip_prefix('[') {
            Some(inside) => inside.split_once(']').ok_or(at + 1)?,
            None => ("", rest),
        };
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect();
        lines.push(Line {
            number: at + 1,
            file: file.to_owned(),
            options: words(options),
            filters: words(filters),
        });
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_a_file_options_and_filters() {
        let text =
            "# all\n\na.pem\n  b.pem [alpn h2 ssl-min-ver TLSv1.3] *.b !x.b # end\nc.pem c d\ne.pem []\n";
        let got: Vec<_> = parse(text)
            .expect("good")
            .into_iter()
            .map(|l| format!("{} {} {} {}", l.number, l.file, l.options.join(","), l.filters.join(",")))
            .collect();
        assert_eq!(
            got,
            ["3 a.pem  ", "4 b.pem alpn,h2,ssl-min-ver,TLSv1.3 *.b,!x.b", "5 c.pem  c,d", "6 e.pem  "]
        );
        assert_eq!(parse("a.pem\nb.pem [alpn h2\n"), Err(2));
    }
}
