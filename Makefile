# Everything that CI checks can be run by hand with the same word.

CARGO ?= cargo
# What the demo runs on: sqlite (nothing is needed), etcd or etcd-v2.
ON ?= sqlite

.PHONY: demo test everything faults faults-program soak simulation fuzz bench bench-quick bench-build static lint fmt doc images setup build help

help:
	@echo 'make demo            a load balancer and two web servers on the embedded store; ON=etcd for the same on etcd'
	@echo 'make test            every test, on real servers'
	@echo 'make everything      all of it, the soak and the program beside its earlier version as well; before a release'
	@echo 'make faults          real servers and clients while everything fails, and what must be caught'
	@echo 'make soak TIME=10m   the same at random, then agents of a server that comes and goes; SEED=n repeats a schedule'
	@echo 'make simulation      registry-core in a simulated registry; SCHEDULES=100000, SEED=… plays one of them again'
	@echo 'make fuzz            searches for inputs that break a promise; TARGET=index, TIME=60 seconds for each'
	@echo 'make bench           what the program costs beside the least that it can cost; AGAINST=peers.toml, ONLY=latency,burst'
	@echo 'make bench-quick     a minute of it, compared with the ratios in benches/ratios.json'
	@echo 'make static          the program without shared libraries, on musl, for images that hold nothing else'
	@echo 'make lint            formatting, clippy, documentation, licences and advisories, oldest compiler'
	@echo 'make doc             the documentation, in target/doc'
	@echo 'make images          the etcd servers for the tests'
	@echo 'make setup           what building and testing need on Debian'

setup:
	@scripts/setup

build: setup
	@$(CARGO) build --locked --quiet -p cluster-control

demo: build
	@demos/load-balancer $(ON)

images: setup
	@scripts/images

# The unit and contract tests of every crate, then the program as its users run it. The trials mostly wait for leases to
# expire, so more of them than cores run at once.
test: build images
	@scripts/test

# With all features of the workspace, as the tests are built: after `make test` there is nothing left to build.
faults-program: setup
	@$(CARGO) build --locked --quiet --workspace --all-features --bin faults

# Before a release: what `make test` has no time for as well. Takes hours.
everything:
	@scripts/everything

# Every fault once on every store, side by side, with a fixed seed; then every mutant. Histories are kept in target/faults.
faults: faults-program images
	@"$${CARGO_TARGET_DIR:-target}/debug/faults" run

soak: faults-program images
	@"$${CARGO_TARGET_DIR:-target}/debug/faults" soak --time $(or $(TIME),10m) $(if $(SEED),--seed $(SEED)) \
		$(if $(filter command line environment,$(origin ON)),--on $(ON))
	@$(CARGO) build --locked --quiet -p cluster-control
	@SOAK=$(or $(TIME),10m) TEST_PROGRAM="$(abspath $(or $(CARGO_TARGET_DIR),target))/debug/cluster-control" \
		$(CARGO) test --locked --quiet --workspace --all-features --test limits -- agents_of_a_flapping_server

# Recovery and the keeper of registrations, on a paused clock, with everything that goes wrong drawn from a seed.
simulation:
	@scripts/simulation

fuzz:
	@scripts/setup fuzz
	@scripts/fuzz

# On a quiet machine: nothing else should run. With TABLES=docs/performance.md the tables there are made anew.
bench: bench-build
	@"$${CARGO_TARGET_DIR:-target}/release/bench" run $(if $(ONLY),--only $(ONLY)) $(if $(AGAINST),--against $(AGAINST)) \
		$(if $(TABLES),--markdown $(TABLES)) $(if $(SAVE),--save $(SAVE))

# A report and no test: what moved is said, and nothing fails. SAVE=benches/ratios.json keeps it for the next comparison.
bench-quick: bench-build
	@"$${CARGO_TARGET_DIR:-target}/release/bench" run --quick $(if $(ONLY),--only $(ONLY)) $(if $(AGAINST),--against $(AGAINST)) \
		$(if $(SAVE),--save $(SAVE),$(if $(wildcard benches/ratios.json),--compare benches/ratios.json))

# The programs as they are shipped, and each built alone: what is built together shares the features of its libraries.
bench-build: setup images
	@$(CARGO) build --locked --quiet --release -p cluster-control
	@$(CARGO) build --locked --quiet --release -p cluster-control-benches

static: setup
	@scripts/static

fmt:
	@$(CARGO) fmt --all

lint: setup
	@scripts/lint

doc: setup
	@RUSTDOCFLAGS='-D warnings' $(CARGO) doc --locked --quiet --workspace --no-deps
