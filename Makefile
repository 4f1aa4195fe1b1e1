# The ways in. `make demo` shows what this is, `make test` runs all that CI runs.
CARGO ?= cargo
PREFIX ?= /usr
SYSCONFDIR ?= /etc
UNITDIR ?= /lib/systemd/system
DESTDIR ?=
# Another proxyd to install: that of `make dist`.
PROXYD ?=
FUZZ_SECONDS ?= 60
FUZZ_TARGETS ?=

.PHONY: all build dist demo test bench lint fuzz install uninstall

all: build

build:
	$(CARGO) build --release --workspace --bins

# proxyd as packages ship it: laid out by what it did under load; the last line says where it is.
dist:
	CARGO="$(CARGO)" packaging/dist.sh

# KEEP=1 leaves it running; HAPROXY_CFG= and KEEPALIVED_CONF= take files of yours;
# HAPROXY= and KEEPALIVED= show other programs than ours.
demo:
	CARGO="$(CARGO)" tests/demo.sh

# Everything: formatting, rules of the house, unit, property, simulation, oracles, whole daemons in namespaces.
test:
	CARGO="$(CARGO)" tests/run.sh

# Speed, never part of the tests: proxyd beside HAProxy, then the parsers alone.
bench:
	CARGO="$(CARGO)" tests/bench.sh
	$(CARGO) bench -p conf-parsers --bench haproxy

lint:
	CARGO="$(CARGO)" tests/lint.sh

# All fuzz targets for FUZZ_SECONDS each; needs cargo-fuzz. RUSTC_BOOTSTRAP lets a stable compiler count what was
# reached; no sanitizer, since there is no unsafe code in what is fuzzed. FUZZ_TARGETS chooses some.
fuzz:
	tests/fuzz.sh $(FUZZ_SECONDS) $(FUZZ_TARGETS)

install:
	PROXYD="$(PROXYD)" DESTDIR="$(DESTDIR)" PREFIX="$(PREFIX)" SYSCONFDIR="$(SYSCONFDIR)" UNITDIR="$(UNITDIR)" packaging/install.sh install

uninstall:
	PROXYD="$(PROXYD)" DESTDIR="$(DESTDIR)" PREFIX="$(PREFIX)" SYSCONFDIR="$(SYSCONFDIR)" UNITDIR="$(UNITDIR)" packaging/install.sh uninstall
