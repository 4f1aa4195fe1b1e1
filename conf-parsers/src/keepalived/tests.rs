use super::*;

fn tree(text: &str) -> Tree {
    let mut options = ReadOptions::new("vm");
    options.follow_includes = false;
    parse_bytes("t.conf", text.as_bytes(), &options)
}

fn words(text: &str) -> Vec<String> {
    tree(text)
        .statements
        .iter()
        .map(|s| s.words.iter().map(|w| w.text.as_str()).collect::<Vec<_>>().join("|"))
        .collect()
}

#[test]
fn braces_cut_lines_in_every_style() {
    assert_eq!(words("virtual_server 1.2.3.4 80{\n"), ["virtual_server|1.2.3.4|80|{"]);
    assert_eq!(words("track_script { x }"), ["track_script|{", "x", "}"]);
    assert_eq!(words("a\n{ b c\n} } d"), ["a", "{", "b|c", "}", "}", "d"]);
}

#[test]
fn comments_end_lines_outside_quotes() {
    assert_eq!(words("a#b\nc\\#d \"e#f\" g!h\n! x\n#y"), ["a", "c#d|e#f|g"]);
}

#[test]
fn parameters_are_put_in_at_use() {
    assert_eq!(words("$X=1\nz $X ${X} $Xa ${X}a $X,b $UNDEF"), ["z|1|1|$Xa|1a|1,b|$UNDEF"]);
    assert_eq!(words("$A=2\n$F=$A z\n$A=3\nb$F"), ["b3|z"]);
    assert!(words("$SELF=$SELF a\nq $SELF").is_empty());
}

#[test]
fn multi_line_parameters_become_lines() {
    let text = "$VI= \\\n vi ${N} { \\\n  @vm p 1 \\\n\n  @^vm p 2 \\\n }\n$N=7\n$VI\n$N=8\n$VI";
    assert_eq!(words(text), ["vi|7|{", "p|1", "}", "vi|8|{", "p|1", "}"]);
}

#[test]
fn sequences_and_lists_repeat_a_line() {
    assert_eq!(words("~SEQ(V, 3) s$V"), ["s1", "s2", "s3"]);
    assert_eq!(words("~SEQ(V, 5, 2, 9) s${V}"), ["s5", "s7", "s9"]);
    assert_eq!(words("~SEQx(V, 9, 11) s${V}"), ["s9", "sa", "sb"]);
    assert_eq!(words("~LST(V, a, b) l$V"), ["la", "lb"]);
    assert_eq!(words("~LST({A,B},{1,2},{3}) l${A}x${B}"), ["l1x2", "l3x"]);
}

#[test]
fn a_bad_sequence_is_told_in_the_originals_words() {
    let tree = tree("~SEQ(V,a) c\nd");
    let texts: Vec<_> = tree.complaints().map(|c| c.text.as_str()).collect();
    assert_eq!(texts, ["Invalid ~SEQ definition '~SEQ(V,a) c'", "Invalid ~SEQ specification '~SEQ(V,a) c'"]);
}

#[test]
fn spans_point_at_the_source() {
    let tree = tree("# c\n  foo \"b c\" $X\n");
    let s = &tree.statements[0];
    assert_eq!(tree.sources.text(s.words[1].span), b"\"b c\"");
    assert_eq!(tree.sources.line(s.words[2].span), 2);
}
