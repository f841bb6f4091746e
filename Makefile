# muster: what a person types. `make help` lists it.

CACHE        ?= .cache
PYTHON       ?= python3
VENV         := $(CACHE)/venv
DEPLOY_VENV  := $(CACHE)/venv-deploy
PHOTOS       := $(CACHE)/photos
export MUSTER_HOME   ?= $(abspath $(CACHE)/muster)
export MUSTER_PHOTOS ?= $(abspath $(PHOTOS))
export MUSTER_VENV   ?= $(abspath $(VENV))
APT          := build-essential cmake nasm libopenblas-openmp-dev libheif1 python3-venv redis-server libcurl4 chromium mmdebstrap libimage-exiftool-perl
# The program without a fleet, as a debug build: the fastest to build, and fast enough for the demo. It has a folder of its own,
# so that neither the demo nor the tests replace the other's program.
FOLDER       := target/folder/debug/muster
# The whole program, built with the features that the tests ask of shared crates, so that cargo does not compile muster twice.
MUSTER       := target/debug/muster
# What `make bench` measures and a person installs.
RELEASED     := target/release/muster
# Where a storm takes place.
STORM        := --photos $(PHOTOS)/gallery --servers '$(VENV)/bin/python tests/stack/stack.py'
UNIT         := structure chaos cutover devices faults fleet layers pipeline scaler xmp
FUZZED       := header exif jpeg png webp heif message split sibling manifest model wheel settings trace memory cutover key library
STEADY        = $(MUSTER) soak $(STORM) --minutes 5 --rate 4 --report $(CACHE)/soak > $(CACHE)/soak.txt 2>&1
SHELL        := /bin/bash
.SHELLFLAGS  := -euo pipefail -c
.DELETE_ON_ERROR:
.PHONY: help demo test unit check bench galleries-bench fuzz setup models lint deny doc deploy-check clean apt stack stack-demo stack-telemetry fleet-demo outages chaos soak pictures serve-bench lambda lambda-cold-start gpu-test image-check

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## */  make \1|/' | column -t -s '|'

demo: $(FOLDER) $(PHOTOS)/demo ## set up, then find and group the people in real photos
	$(FOLDER) models pull open
	$(FOLDER) index $(PHOTOS)/demo --library $(CACHE)/demo-library

# Tests wait more than they compute: at least four of them run beside each other.
export RUST_TEST_THREADS ?= $(shell cores=$$(nproc); echo $$((cores > 4 ? cores : 4)))

test: deploy-check models $(VENV)/done $(PHOTOS)/demo $(PHOTOS)/gallery ## set up, then run every test
	@# Five minutes of steady work beside the tests. What grew there is measured again alone: a leak shows on a quiet machine too.
	$(STEADY) & soak=$$!; \
	tests=0; cargo test --workspace --locked --no-fail-fast || tests=$$?; \
	wait $$soak || { cat $(CACHE)/soak.txt; $(STEADY); } || { tests=1; cat $(CACHE)/soak.txt; }; exit $$tests

# Each of these programs needs neither a server nor a photo nor a model.
unit: $(CACHE)/apt.done ## the tests that need no server, photo or model: units, properties, simulated schedules
	cargo test --workspace --locked --no-fail-fast --lib --bins $(UNIT:%=--test %)

check: lint deny doc test ## formatting, clippy, licences, docs and all tests

lint: $(CACHE)/apt.done ## formatting, clippy, and the rules of documents, names and crates
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	cargo clippy --no-default-features --locked -- -D warnings
	cargo clippy --no-default-features --features cloud --locked -- -D warnings
	cargo clippy --no-default-features --features serve --locked -- -D warnings
	cargo clippy --no-default-features --features cloud,serve,gpu --locked -- -D warnings
	cargo test --workspace --locked --test structure

deny: $(CACHE)/tools/bin/cargo-deny ## bans, licences and sources of dependencies
	$< --offline check bans licenses sources

doc: ## build the API docs without a warning
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked

deploy-check: $(DEPLOY_VENV)/done ## the CloudFormation template: linted, held against the design, created on an emulator
	$(DEPLOY_VENV)/bin/python deploy/check
	$(DEPLOY_VENV)/bin/python deploy/image/check --lint

image-check: $(RELEASED) $(DEPLOY_VENV)/done $(PHOTOS)/demo ## the container images: linted, made without Docker, and at work read-only (IMAGE_ARGS="--only cpu")
	$(DEPLOY_VENV)/bin/python deploy/image/check --program $(RELEASED) --photos $(PHOTOS)/demo --cache $(CACHE)/image $(IMAGE_ARGS)

bench: $(RELEASED) $(VENV)/done $(PHOTOS)/demo $(PHOTOS)/gallery ## measure beside the Python service it replaces
	$(RELEASED) models pull open
	$(RELEASED) models optimize open --precision int8 --photos $(PHOTOS)
	$(VENV)/bin/python tests/bench/run.py --muster $(RELEASED) --photos $(PHOTOS) --work $(CACHE)/bench
	cargo bench --locked -p muster-index --bench grouping
	cargo bench --locked -p muster-library --bench corrections
	cargo bench --locked --bench report
	cargo bench --locked --bench fleet
	cargo bench --locked --bench galleries -- large 100000
	cargo bench --locked --bench galleries -- many 1000 400 2

galleries-bench: $(VENV)/done models ## group a gallery of a million faces, and 10,000 galleries, in MongoDB (an hour on two cores)
	cargo bench --locked --bench galleries -- large
	cargo bench --locked --bench galleries -- many

pictures: models $(VENV)/done $(PHOTOS)/demo ## render the pictures of the README and of docs/ from the demo photos
	$(VENV)/bin/python tests/browser/pictures.py --muster $(MUSTER) --photos $(PHOTOS)/demo --out docs/pictures

serve-bench: $(RELEASED) $(VENV)/done $(PHOTOS)/demo $(PHOTOS)/gallery ## capacity and latency of muster serve at 50, 80 and 300 % of it; how sure its names are
	$(RELEASED) models pull open
	$(RELEASED) index $(PHOTOS)/demo --library $(CACHE)/demo-library
	$(PYTHON) tests/bench/serve.py --muster $(RELEASED) --library $(CACHE)/demo-library --photo $(PHOTOS)/demo/astronaut.png
	$(VENV)/bin/python tests/bench/identities.py --muster $(RELEASED) --photos $(PHOTOS) --work $(CACHE)/identities

stack: $(VENV)/done ## start MongoDB, Redis, SQS and S3 and an OTLP receiver, until Ctrl-C
	$(VENV)/bin/python tests/stack/stack.py --shell

stack-demo: models $(VENV)/done $(PHOTOS)/demo ## find people with the fleet's workers, and compare with index
	cargo test --workspace --locked --test servers fleet::the_fleet_finds -- --nocapture

stack-telemetry: models $(VENV)/done $(PHOTOS)/demo ## the spans, the log and the metrics of one image
	cargo test --workspace --locked --test servers fleet::traces:: -- --nocapture

fleet-demo: models $(VENV)/done $(PHOTOS)/gallery ## 300 photos in two waves: workers start, one is killed, all leave
	MUSTER_DEMO_PHOTOS=300 cargo test --workspace --locked --test servers scale::local::workers_come -- --nocapture

outages: models $(VENV)/done $(PHOTOS)/demo ## 2,000 images, a minute without each dependency
	MUSTER_OUTAGE_IMAGES=2000 MUSTER_OUTAGE_SECONDS=60 cargo test --workspace --locked --test servers fleet::outages:: -- --nocapture

chaos: $(MUSTER) $(VENV)/done $(PHOTOS)/gallery ## 200 kills over 5,000 messages, then the same undisturbed (STORM_ARGS="--seed 7 --kills 20")
	$(MUSTER) chaos $(STORM) --report $(CACHE)/chaos $(or $(STORM_ARGS),--kills 200 --messages 5000 --bad 40)

soak: $(MUSTER) $(VENV)/done $(PHOTOS)/gallery ## an hour of steady work: does anything grow? (SOAK_MINUTES=5)
	$(MUSTER) soak $(STORM) --minutes $(or $(SOAK_MINUTES),60) --report $(CACHE)/soak

gpu-test: models $(PHOTOS)/gallery ## parity, memory that runs out, a killed context and images a second on a card; says so where there is none
	cargo test --workspace --locked --test gpu -- --nocapture

lambda: $(CACHE)/apt.done ## pack the submitter for AWS Lambda
	cargo build --locked --profile lambda -p muster-submitter
	$(PYTHON) deploy/submitter/package.py target/lambda/bootstrap target/lambda/submitter.zip

lambda-cold-start: lambda $(VENV)/done ## time the packed submitter's start, ten times
	MUSTER_BOOTSTRAP=$(abspath target/lambda/bootstrap) cargo test --workspace --locked --test lambda cold_start -- --nocapture

fuzz: $(CACHE)/tools/bin/cargo-fuzz $(VENV)/done $(PHOTOS)/demo ## each parser of outside bytes a minute with mutated input
	$(VENV)/bin/python tests/fuzz/seeds.py $(PHOTOS)/demo/astronaut.png tests/fuzz/corpus
	cp -rT tests/fuzz/seeds tests/fuzz/corpus
	for target in $(FUZZED); do RUSTC_BOOTSTRAP=1 $< run --fuzz-dir tests/fuzz $$target -- \
	  -max_total_time=60 -timeout=10 -rss_limit_mb=2048 -max_len=65536 -print_final_stats=1; done

setup: models $(VENV)/done $(PHOTOS)/demo $(PHOTOS)/gallery ## everything that demo and test need

models: $(MUSTER)
	$(MUSTER) models pull open

clean: ## remove what was built and installed here
	rm -rf target $(CACHE)

$(FOLDER): $(CACHE)/apt.done FORCE
	cargo build --locked --no-default-features --features gpu --target-dir target/folder

$(MUSTER): $(CACHE)/apt.done FORCE
	cargo test --workspace --locked --no-run

$(RELEASED): $(CACHE)/apt.done FORCE
	cargo build --release --locked

apt: $(CACHE)/apt.done ## the Debian packages that building and testing need

$(CACHE)/apt.done: Makefile
	@mkdir -p $(CACHE)
	@missing=$$(dpkg-query -W -f='$${Package} $${db:Status-Status}\n' $(APT) 2>/dev/null | awk '$$2=="installed"{print $$1}' | sort > $(CACHE)/have; printf '%s\n' $(APT) | sort | comm -23 - $(CACHE)/have); \
	if [ -n "$$missing" ]; then \
	  sudo=$$([ "$$(id -u)" = 0 ] || echo sudo); \
	  echo "installing: $$missing"; \
	  $$sudo apt-get update -qq; \
	  DEBIAN_FRONTEND=noninteractive $$sudo apt-get install -y -qq --no-install-recommends $$missing >/dev/null; \
	fi
	@rm -f $(CACHE)/have; touch $@

$(VENV)/done: tests/requirements.txt tests/stack/requirements.txt tests/serve/requirements.txt tests/browser/requirements.txt | $(CACHE)/apt.done
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes $(^:%=-r %)
	@touch $@

$(DEPLOY_VENV)/done: deploy/requirements.txt deploy/image/requirements.txt | $(CACHE)/apt.done
	$(PYTHON) -m venv $(DEPLOY_VENV)
	$(DEPLOY_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes $(^:%=-r %)
	@touch $@

$(CACHE)/tools/bin/cargo-deny:
	cargo install cargo-deny --version 0.20.2 --locked --quiet --root $(CACHE)/tools

$(CACHE)/tools/bin/cargo-fuzz:
	cargo install cargo-fuzz --version 0.13.2 --locked --quiet --root $(CACHE)/tools

$(PHOTOS)/demo:
	$(PYTHON) tests/photos.py $(PHOTOS) demo

$(PHOTOS)/gallery: | $(VENV)/done
	$(VENV)/bin/python tests/photos.py $(PHOTOS) gallery

FORCE:
