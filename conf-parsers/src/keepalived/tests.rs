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
    let text = "$VI= \\\n vi ${N} { \\\n  @vm p 1 \\\n  @^vm p 2 \\\n }\n$N=7\n$VI\n$N=8\n$VI";
    assert_eq!(words(text), ["vi|7|{", "p|1", "}", "vi|8|{", "p|1", "}"]);
}

#[test]
fn parameters_over_several_lines_are_the_originals() {
    let cases: &[(&str, &[&str])] = &[
        // A first line without text is dropped, and so are lines of a backslash alone.
        ("$V= \\\n one a { \\\n two b \\\n }\n$V", &["one", "two"]),
        ("$V= \\\n\\\n\\\n a\n$V", &["a"]),
        ("$V={ \\\n a \\\n }\nblock $V", &["block", "a"]),
        // A line without backslash ends the definition, also one that opens a block, and a blank one.
        (
            "$V= \\\n one a {\n\n two b\n }\n$V",
            &["two", "Extra '}' found", "one", "There are 1 missing '}'s or extra '{'s"],
        ),
        ("$V= \\\n\n a \\\n b\n$V", &["a\\", "b"]),
        ("$V= a \\\n\n b\n$V", &["b", "a"]),
        ("$V=\\\none a\\\n\\\ntwo b\\\n\nthree\n$V\nlast", &["three", "one", "two", "last"]),
        ("$V= a \\\n", &[]),
        // Comments go on or end as their last character says.
        ("$V= a \\\n # c \\\n b\n$V", &["a", "b"]),
        ("$V= a \\\n b # c \\\n d\n$V", &["a", "b", "d"]),
        ("$V= a \\ # c\n b\n$V", &["a", "b"]),
        // The reference must end its line; what stands before it goes to the first line.
        ("$V= a \\\n b\nx $V # c\ny", &["x", "b", "y"]),
        ("$V= a \\\n b\nq${V}  \ny", &["qa", "b", "y"]),
        ("$V= a \\\n b\nx $V y", &["x"]),
        ("$V= a \\\n b\n$V x", &["$V"]),
        ("$V= a \\\n b\nx $V $V", &["x", "b"]),
        ("$V= a \\\n b\nblk { $V }", &["blk", "$V"]),
        ("$V= a \\\n b\nz${V}c", &["z$", "V", "c"]),
        // Nested ones, definitions, sequences and conditions inside.
        ("$V= a \\\n $W \\\n z\n$W=1 \\\n 2\n$V", &["a", "1", "2", "z"]),
        ("$V= a { \\\n b $W \\\n }\n$W=1 \\\n 2\n$V", &["a", "b", "2"]),
        ("$V= a \\\n$W=5 \\\n b$W\n$V\nd$W", &["a", "b5", "d5"]),
        ("$V= a$X \\\n b$X\n~SEQ(X,2) $V", &["a1", "b1", "a2", "b2"]),
        ("$V= ~SEQ(X,2) a$X \\\n b\n$V", &["a1", "a2", "b"]),
        ("$V= a \\\n b\n@vm $V\n@xx $V", &["a", "b"]),
        ("$V= \\\n @vm a \\\n @xx b \\\n d\n$V", &["a", "d"]),
        ("@xx $V= a \\\n b\nc", &["b", "c"]),
        // Outside of definitions a backslash at the end belongs to the word before it.
        ("x\n# foo \\\n z # bar \\\nq", &["x", "\\", "z\\", "q"]),
    ];
    for (text, expected) in cases {
        assert_eq!(heard(text), *expected, "{text}");
    }
}

#[test]
fn includes_may_come_out_of_conditions_and_parameters() {
    let directory = tempfile::tempdir().expect("directory");
    let write = |name: &str, text: &str| {
        std::fs::write(directory.path().join(name), text).expect("file");
    };
    write("inc", "in\n");
    write(
        "k.conf",
        "@vm include inc\n@xx include none\n$N=inc\ninclude ${N}\n$I=include inc \\\n b\n$I\nz\n",
    );
    let options = ReadOptions::new("vm");
    let tree = parse(&directory.path().join("k.conf"), &options).expect("the file is there");
    let words: Vec<_> = tree.statements.iter().map(|s| s.words[0].text.as_str()).collect();
    assert_eq!(words, ["in", "in", "in", "b", "z"]);
    assert_eq!(tree.complaints().count(), 0);
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

/// First words of all statements and the texts of all complaints, as keepalived 2.2.7's `-t -i vm` shows them for one
/// line among `Unknown keyword`.
fn heard(text: &str) -> Vec<String> {
    let tree = tree(text);
    let said = |s: &Statement| {
        let complaints = s.complaints.iter().map(|c| c.text.clone());
        complaints.chain((s.brace != Brace::Close).then(|| s.words[0].text.clone())).collect::<Vec<_>>()
    };
    let behind = tree.complaints.iter().map(|c| c.text.clone());
    tree.statements.iter().flat_map(said).chain(behind).collect()
}

#[test]
fn sequences_are_the_originals() {
    let cases: &[(&str, &[&str])] = &[
        ("~SEQ(V, -3) n$V", &["n-1", "n-2", "n-3"]),
        ("~SEQ(V, 0) z$V", &["z1", "z0"]),
        ("~SEQ(V, 5, 2) d${V}x", &["d5x", "d4x", "d3x", "d2x"]),
        ("~SEQx(V, 0x90, 0x10, 0xc0) hx${V}", &["hx90", "hxa0", "hxb0", "hxc0"]),
        ("~SEQx(V, 0x1F, 33) x${V}", &["x1f", "x20", "x21"]),
        ("$S=2\n$E=4\n~SEQ(V, $S, ${E}) var${V}", &["var2", "var3", "var4"]),
        ("~SEQ(V, 2) ~SEQ(W, $V) nest${V}x${W}", &["nest1x1", "nest2x1", "nest2x2"]),
        ("~SEQ(1V, 3) y$1V", &["y$1V", "y$1V", "y$1V"]),
        ("~SEQ( V , 3 ) v$V", &["v1", "v2", "v3"]),
        ("~SEQ (V,3) u$V", &["u1", "u2", "u3"]),
        ("~SEQ(V, +1, +2) pl${V}", &["pl1", "pl2"]),
        ("~SEQ(V, 3)i${V}", &["i1", "i2", "i3"]),
        ("~SEQ(V, , 2) d$V", &["d0", "d1", "d2"]),
        ("~SEQ(V, 010, 12) o$V", &["o8", "o9", "o10", "o11", "o12"]),
        ("~SEQ(V, 1, 1) e$V", &["e1"]),
        ("~SEQ(V, 3, -1, 1) f$V", &["f3", "f2", "f1"]),
        ("~SEQ(V, 1 , 2 , 7) m$V", &["m1", "m3", "m5", "m7"]),
        ("~SEQ(V-x, 3) h", &["h", "h", "h"]),
        ("~SEQ(V,3)", &[]),
        ("~SEQ(V,2) @vm j$V", &["j1", "j2"]),
        ("~SEQ(V,2) @^vm j$V", &[]),
        ("@vm ~SEQ(V,2) j$V", &["j1", "j2"]),
        ("$Q=~SEQ(V, 2) l\n$Q", &["~SEQ(V,"]),
        ("~FOO(V) l", &["~FOO(V)"]),
    ];
    for (text, expected) in cases {
        assert_eq!(heard(text), *expected, "{text}");
    }
}

#[test]
fn faults_of_sequences_and_lists_are_the_originals() {
    let cases: &[(&str, &[&str])] = &[
        ("~SEQ(V, 5, -1, 9) n", &["Invalid ~SEQ values", "Invalid ~SEQ specification"]),
        ("~SEQ(V, 5, 0, 9) n", &["Invalid ~SEQ values", "Invalid ~SEQ specification"]),
        ("~SEQ(V, 3, 1, 1) n", &["Invalid ~SEQ values", "Invalid ~SEQ specification"]),
        ("~SEQ(V, 1, 2, ) n", &["Invalid ~SEQ values", "Invalid ~SEQ specification"]),
        ("~SEQ(V, 1, 2, 3, 4) n", &["Invalid ~SEQ definition", "Invalid ~SEQ specification"]),
        ("~SEQ(V) n", &["Invalid ~SEQ definition", "Invalid ~SEQ specification"]),
        ("~SEQ() n", &["Invalid ~SEQ definition", "Invalid ~SEQ specification"]),
        ("~SEQ(, 3) n", &["Invalid ~SEQ definition", "Invalid ~SEQ specification"]),
        ("~SEQ(V, 08, 10) n", &["Invalid ~SEQ definition", "Invalid ~SEQ specification"]),
        ("~SEQ(V, 0x, 2) n", &["Invalid ~SEQ definition", "Invalid ~SEQ specification"]),
        ("~SEQ(V, --1, 2) n", &["Invalid ~SEQ definition", "Invalid ~SEQ specification"]),
        ("~SEQ(V, 1 2) n", &["Invalid ~SEQ definition", "Invalid ~SEQ specification"]),
        ("~SEQx(V, -1, 1) n", &["~SEQx is only valid for positive numbers", "Invalid ~SEQ specification"]),
        ("~SEQ(V,3 n", &["~SEQ parameter strings too long", "Invalid ~SEQ specification"]),
        ("~SEQX(V, 3) n", &["Invalid ~SEQ specification"]),
        ("~LST(V, a, b c, d) n", &["Invalid ~LST specification"]),
        ("~LST(V) n", &["Invalid ~LST specification"]),
        ("~LST() n", &["Invalid ~LST specification"]),
        ("~LST(V,a n", &["Invalid ~LST specification"]),
        ("~LST({A,B,{1,2}) n", &["Invalid ~LST specification"]),
        ("~LST({A B},{1,2}) n", &["Invalid ~LST specification"]),
        ("~LST(V, a}b, c) n", &["Invalid ~LST specification"]),
        ("~LST({A,B},{1,2,3}) n", &["~LST specification has too many values", "Invalid ~LST specification"]),
        ("~LST(V, {1,2}, 3) n", &["~LST specification has too many values", "Invalid ~LST specification"]),
    ];
    for (text, expected) in cases {
        let expected: Vec<_> = expected.iter().map(|e| format!("{e} '{text}'")).collect();
        assert_eq!(heard(text), expected, "{text}");
    }
}

#[test]
fn lists_are_the_originals() {
    let cases: &[(&str, &[&str])] = &[
        ("~LST({A,B},{1,2},{3,4}) l${A}x${B}", &["l1x2", "l3x4"]),
        ("~LST({A,B},{1,2},{3}) l${A}x${B}", &["l1x2", "l3x"]),
        ("~LST({A,B},{1,}) l${A}.${B}.", &["l1.."]),
        ("~LST({A,B},{,2}) l${A}.${B}.", &["l.2."]),
        ("~LST({A,B},{},{1,2}) l${A}.${B}.", &["l..", "l1.2."]),
        ("~LST({A,B},1,2) o$A", &["o1", "o2"]),
        ("~LST( { A , B } , { 1 , 2 } , { 3 , 4 } ) s${A}.${B}", &["s1.2", "s3.4"]),
        ("~LST({V},{1}) r$V", &["r1"]),
        ("~LST(V, 1, 2) ~LST(W, 5,6) l${V}.${W}", &["l1.5", "l1.6", "l2.5", "l2.6"]),
        ("~LST(V, \"a\", c) q$V", &["q", "qc"]),
        ("~LST(V,a,b)p$V", &["pa", "pb"]),
        ("$D=9\n~LST(V, a$D, b) l$V", &["la9", "lb"]),
        ("~LST(V,a, ,b) e${V}.", &["ea.", "e.", "eb."]),
        ("~LST(V,,b) e${V}.", &["e.", "eb."]),
        ("~LST(V,a,b,) v$V", &["va", "vb", "v"]),
        ("~LST(,a) o", &["o"]),
        ("~LST (V,a,b) t$V", &["ta", "tb"]),
        ("~LST(V, a) b) x$V", &["b)"]),
        ("~LST(V, a{b, c) g$V", &["ga", "b", "gc", "There are 1 missing '}'s or extra '{'s"]),
    ];
    for (text, expected) in cases {
        assert_eq!(heard(text), *expected, "{text}");
    }
}

#[test]
fn conditions_on_the_configuration_id_are_the_originals() {
    let cases: &[(&str, &[&str])] = &[
        ("@vm a", &["a"]),
        ("@other a", &[]),
        ("@^vm a", &[]),
        ("@^other a", &["a"]),
        ("@!vm a", &[]),
        ("@!other a", &[]),
        ("@\\!other a", &[]),
        ("@ vm a", &[]),
        ("@^ other a", &["other"]),
        ("@vm", &[]),
        ("@\"vm\" a", &[]),
        ("@vm @vm a", &["@vm"]),
        ("@vm $D=9\nd$D", &["d9"]),
        ("  @vm   a", &["a"]),
    ];
    for (text, expected) in cases {
        assert_eq!(heard(text), *expected, "{text}");
    }
}

#[test]
fn parameters_are_the_originals() {
    let cases: &[(&str, &[&str])] = &[
        ("$E=\ne$E x", &["e"]),
        ("$C=v # comment\nc$C", &["cv"]),
        ("$H=a${_HASH}b\nh$H", &["ha"]),
        ("hh${_HASH}x", &["hh"]),
        ("hb${_BANG}x", &["hb"]),
        ("i${_INSTANCE}", &["ivm"]),
        ("$1X=3", &["$1X=3"]),
        ("$A-B=3", &["$A-B=3"]),
        ("$ X=3", &["$"]),
        ("$X=1\n$N=in ${X} \\\n second \\\n third\n$N", &["in", "second", "third"]),
    ];
    for (text, expected) in cases {
        assert_eq!(heard(text), *expected, "{text}");
    }
}

#[test]
fn rounds_that_leave_no_line_end_too() {
    // Deeper than lines are followed, so that no line ever counts.
    assert!(words(&format!("{} x", "~SEQ(A, 99999) ".repeat(14))).is_empty());
}

#[test]
fn what_is_left_out_is_told() {
    let tree = tree("~SEQ(V, 8888888888888887) s$V\n~SEQ(V, 2) t$V\nx\n");
    let told: Vec<_> = tree.complaints().map(|c| c.text.as_str()).collect();
    assert_eq!(told, ["Too many substitutions - ignoring"; 2]);
    // What needs no more work is read.
    assert_eq!(tree.statements.last().map(|s| s.words[0].text.as_str()), Some("x"));
    assert!(tree.statements.len() > 65_024, "the manual's largest example");
}
