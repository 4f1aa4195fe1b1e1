//! The JSON schema of `show info json` and `show stat json` (`show schema json`), as programs check it.

/// The schema.
const SCHEMA: &str = include_str!("schema.json");

/// The schema in one line, without blanks.
pub fn compact() -> String {
    let mut quoted = false;
    let keep = |c: &char| {
        quoted ^= *c == '"'; // no string of it holds a quote
        quoted || !c.is_ascii_whitespace()
    };
    SCHEMA.chars().filter(keep).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn it_is_json() {
        let schema: serde_json::Value = serde_json::from_str(&super::compact()).unwrap();
        assert_eq!(schema, serde_json::from_str::<serde_json::Value>(super::SCHEMA).unwrap());
        assert_eq!(schema["oneOf"].as_array().map(Vec::len), Some(3));
    }
}
