use proptest::prelude::*;

use super::*;

fn core(pattern: Pattern) -> Core {
    let script = Script {
        flavour: Flavour::TcpCheck,
        steps: vec![Action::Expect(Box::new(Expect::new(pattern))).into()],
        disable_on_404: false,
    };
    let spec = Spec::new(
        crate::Endpoint::Abstract("x".into()),
        std::time::Duration::from_secs(1),
        crate::Check::Steps(script.clone()),
    );
    Core::new(&spec, &script)
}

proptest! {
    #[test]
    fn any_reply_ends_with_one_verdict(text in prop::collection::vec(any::<u8>(), 0..3000), piece in 1usize..700) {
        let now = Instant::now();
        for pattern in [
            Pattern::String(b"abc".to_vec()),
            Pattern::BinaryRegex("^00".into()),
            Pattern::HttpStatus(vec![(200, 200)]),
            Pattern::HttpBody(b"x".to_vec()),
            Pattern::Preset(preset::Test::MysqlLogin),
            Pattern::Preset(preset::Test::Ldap),
            Pattern::Preset(preset::Test::Spop),
            Pattern::Preset(preset::Test::SslHello),
        ] {
            let mut core = core(pattern);
            let mut out = Vec::new();
            core.handle(now, Input::Start, &mut out);
            core.handle(now, Input::Connected, &mut out);
            for part in text.chunks(piece) {
                if !out.iter().any(|e| matches!(e, Effect::Done(_))) {
                    core.handle(now, Input::Data(part), &mut out);
                }
            }
            if !out.iter().any(|e| matches!(e, Effect::Done(_))) {
                core.handle(now, Input::Closed, &mut out);
            }
            let ends = out.iter().filter(|e| matches!(e, Effect::Done(_))).count();
            prop_assert_eq!(ends, 1);
        }
    }
}
