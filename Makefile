# Everything one does with this project. Each target installs what it needs and is missing (Debian, apt);
# the Rust toolchain (rustup) is the one thing that must be there before.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help demo test fmt bench counts counts-record simulate fuzz advisories deps deny deb test-deb test-deb-systemd

# Tools that are missing are built into this folder, nowhere else.
TOOLS := $(CURDIR)/target/tools

# rustup puts cargo into the second folder, but not every shell has been told.
export PATH := $(PATH):$(HOME)/.cargo/bin:$(TOOLS)/bin

CARGO_DEB_VERSION := 3.8.0
CARGO_DENY_VERSION := 0.20.2
CARGO_FUZZ_VERSION := 0.13.2

help: ## show this
	@grep -hE '^[a-z-]+:.*## ' Makefile | sed -E 's/:.*## /\t/' | expand -t 14

demo: ## a message becomes a push, on this machine, in a private Prosody (DEMO_EXIT=1: do not stay up)
	@demo/run

test: deps ## everything: format, lints, licences, docs, all tests (those with a real Prosody and a real ejabberd too)
	@echo '== format' && cargo fmt --all --check
	@echo '== lints' && cargo clippy --locked --workspace --all-targets -- -D warnings
	@echo '== docs' && RUSTDOCFLAGS='-D warnings' cargo doc --locked --no-deps
	@echo '== demo scripts' && bash -n demo/run scripts/install-deps.sh scripts/kill-test .ci/run && \
		bash -n scripts/stage-package && bash -n scripts/test-deb && bash -n scripts/in-systemd && bash -n scripts/count-instructions && /usr/bin/python3 demo/conversation.py --check
	@echo '== bridge' && cd bridge/prosody && luacheck --no-color --quiet --config .luacheckrc mod_pushkeeper
	@echo '== licences, one TLS stack, sources' && $(MAKE) --no-print-directory deny
	@echo '== tests' && cargo test --locked --no-fail-fast

fmt: ## format the code
	cargo fmt

# The rows of the table are those of benches/publish.rs; whoever names some wants nothing else.
bench: ## how fast it is, beside the ceilings of this machine (PUSHKEEPER_BENCH_ONLY=publish-apns: only such rows)
	@scripts/install-deps.sh build prosody ejabberd
	@export PUSHKEEPER_BENCH_TABLE=$(CURDIR)/target/bench-table.txt; \
	if [ -n "$${PUSHKEEPER_BENCH_ONLY:-}" ]; then cargo bench --locked --bench publish; \
	else cargo bench --locked && echo && cat target/bench-table.txt; fi

counts: ## count the instructions of the hot path, and compare them with those on record
	@scripts/install-deps.sh build count
	@cargo build --locked --release --package pushkeeper-counts
	@scripts/count-instructions

counts-record: ## record what the hot path takes now
	@scripts/install-deps.sh build count
	@cargo build --locked --release --package pushkeeper-counts
	@scripts/count-instructions --record

simulate: ## 48 hours of virtual time with 100,000 devices (docs/testing.md)
	cargo test --locked --release --lib -- --ignored --nocapture two_days_of_a_large_world

# Without a sanitizer it needs no nightly toolchain, and there is no unsafe code that one would watch.
fuzz: ## feed strangers' bytes to all that reads them (FUZZ_SECONDS=600 for each target)
	@cargo fuzz --version >/dev/null 2>&1 || cargo install --locked --quiet --debug --root $(TOOLS) cargo-fuzz --version $(CARGO_FUZZ_VERSION)
	@cargo fuzz build --sanitizer none
	@for target in $$(cargo fuzz list); do \
		case $$target in reply|configuration|http2) words=words;; foreign_store) words=stores;; *) words=xml;; esac; \
		mkdir -p fuzz/corpus/$$target; \
		echo "== $$target"; \
		cargo fuzz run --sanitizer none $$target fuzz/corpus/$$target fuzz/seeds/$$target -- \
			-dict=fuzz/$$words.dict -max_total_time=$${FUZZ_SECONDS:-600} -rss_limit_mb=2048 -timeout=10; \
	done

# DEB_PROGRAM: another pushkeeper than the release build.
deb: ## a Debian package in target/debian
	@scripts/install-deps.sh build package
	@cargo deb --version >/dev/null 2>&1 || \
		cargo install --locked --quiet --debug --root $(TOOLS) cargo-deb --version $(CARGO_DEB_VERSION)
	@[ -n "$${DEB_PROGRAM:-}" ] || cargo build --locked --release --bin pushkeeper
	@rm -rf target/debian
	@scripts/stage-package "$${DEB_PROGRAM:-$${CARGO_TARGET_DIR:-target}/release/pushkeeper}" target/package
	@cargo deb --quiet --locked --no-build --no-strip --output target/debian/
	@ls -l target/debian/*.deb

# Where systemd is not process 1, as in containers, a stand-in runs the unit.
test-deb: deb ## install that package, run it as its unit says, purge it (needs root or sudo)
	@scripts/test-deb target/debian/*.deb

test-deb-systemd: deb ## the same under a systemd of its own, in namespaces that are thrown away (needs root)
	@scripts/in-systemd scripts/test-deb target/debian/*.deb

advisories: ## known vulnerabilities in what we use (needs the network)
	@$(MAKE) --no-print-directory deny-installed
	cargo deny --locked check advisories

deny: deny-installed
	@cargo deny --locked --log-level error check bans licenses sources

.PHONY: deny-installed
deny-installed:
	@# It runs for two seconds: not worth the minutes that the optimiser takes.
	@cargo deny --version >/dev/null 2>&1 || \
		cargo install --locked --quiet --debug --root $(TOOLS) cargo-deny --version $(CARGO_DENY_VERSION)

deps:
	@command -v cargo >/dev/null || { echo 'No cargo: install Rust first, see https://rustup.rs'; exit 1; }
	@scripts/install-deps.sh build prosody ejabberd client lint http2
