# berth's chores. `make demo` and `make test` are all the set-up there is.

CARGO ?= cargo
TARGET := $(or $(CARGO_TARGET_DIR),target)
HOST = $(shell rustc -vV | sed -n 's/^host: //p')
# Where Debian keeps libseccomp.a on this architecture.
export LIBSECCOMP_LIB_PATH = $(shell pkg-config --variable=libdir libseccomp 2>/dev/null)

# Shows what is being done, not how.
Q := @

.PHONY: all toolchain deps user images test vm demo bench fuzz lint fmt clean

all: toolchain ## the static binary, at target/berth
	$(CARGO) build --release --locked --bin berth
	$(Q)mkdir -p target && cp -f "$(TARGET)/$(HOST)/release/berth" target/berth

toolchain:
	$(Q)pkg-config --exists libseccomp 2>/dev/null || tests/deps build

deps: ## what building and testing need, from Debian
	$(Q)tests/deps

user: deps ## the ordinary users that tests run as when root runs the tests
	$(Q)tests/user

images: deps ## the test images, made of Debian packages and kept
	$(Q)tests/images/build >/dev/null

test: user images ## every test
	BERTH_IMAGES_DIR=$$(tests/images/build --print-dir) $(CARGO) test --workspace --locked
	$(CARGO) test --locked --package berth-store --features fault --test crash -- --nocapture

vm: all ## on hosts of their own: Debian with systemd (limits, services, power cuts), and one with nothing but berth; ONLY=services for some
	$(Q)tests/deps vm
	$(Q)tests/vm/run target/berth $(if $(ONLY),systemd/$(ONLY))

demo: user images all ## pull, deduplicate and run real images, before your eyes
	$(Q)tests/demo target/berth

bench: user all ## beside podman, umoci, the ostree chain, runc, crun …; QUICK=1 for a first look, ONLY=fsck,gc for some
	$(Q)tests/images/build python >/dev/null
	BERTH_IMAGES_DIR=$$(tests/images/build --print-dir) \
	    BERTH_BENCH_QUICK=$(QUICK) BERTH_BENCH_ROUNDS=$(ROUNDS) BERTH_BENCH_ONLY=$(ONLY) \
	    BERTH_BIN=$(CURDIR)/target/berth \
	    $(CARGO) bench --locked --profile dev --bench bench

fuzz: ## every fuzz target for SECONDS (default 60); needs a nightly toolchain
	$(Q)fuzz/run $(SECONDS)

lint: toolchain ## format, clippy and documentation, as CI has them
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	$(CARGO) clippy --package berth-store --features fault --all-targets --locked -- -D warnings
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --workspace --no-deps --document-private-items --locked

fmt:
	$(CARGO) fmt --all

clean:
	$(CARGO) clean
