#!/usr/bin/env bash
# Builds the three images with docker, podman or buildah and prints how large they are above their base.
# With LOAD=1 also puts them where the nodes of the cluster that KUBECONFIG names find them.
set -euo pipefail
cd "$(dirname "$0")/.."
tag=${TAG:-$(sed -n 's/^appVersion: *"\{0,1\}\([^"]*\)"\{0,1\}/\1/p' helm/kubetriage/Chart.yaml)}
base=${PYTHON_IMAGE:-docker.io/library/python:3.11-slim}
prefix=${REGISTRY:+$REGISTRY/}
# Layers carry the commit's time, so that the same commit gives the same layers.
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}

engine=${ENGINE:-}
for candidate in docker podman buildah; do
  [ -n "$engine" ] || ! command -v "$candidate" >/dev/null || engine=$candidate
done
if [ -z "$engine" ]; then
  echo "images: none of docker, podman and buildah is installed" >&2
  exit 1
fi

build() {
  local target=$1 name=$2 command
  case $engine in
    buildah)
      command=(buildah bud --network host --timestamp "$SOURCE_DATE_EPOCH")
      # pip's own settings (a mirror, a CA) reach the build, and nothing of them the image.
      [ ! -f /etc/pip.conf ] || command+=(-v /etc/pip.conf:/etc/pip.conf:ro) ;;
    podman) command=(podman build --timestamp "$SOURCE_DATE_EPOCH") ;;
    *) command=("$engine" build --build-arg SOURCE_DATE_EPOCH) ;;
  esac
  "${command[@]}" --build-arg PYTHON="$base" --target "$target" \
    --label org.opencontainers.image.version="$tag" \
    --label org.opencontainers.image.revision="$(git rev-parse HEAD)" -t "$name" .
}

size() { # bytes
  case $engine in
    buildah) buildah images --json "$1" | python3 -c 'import json,sys; print(json.load(sys.stdin)[0]["size"])' ;;
    *) "$engine" image inspect --format '{{.Size}}' "$1" ;;
  esac
}

load() { # archive
  if command -v kind >/dev/null && kubectl config current-context | grep -q '^kind-'; then
    kind load image-archive "$1" --name "$(kubectl config current-context | sed 's/^kind-//')"
  elif command -v minikube >/dev/null && [ "$(kubectl config current-context)" = minikube ]; then
    minikube image load "$1"
  elif command -v k3d >/dev/null && kubectl config current-context | grep -q '^k3d-'; then
    k3d image import "$1" --cluster "$(kubectl config current-context | sed 's/^k3d-//')"
  elif [ -x ../shared/cluster/cluster ]; then
    ../shared/cluster/cluster load-image "$1"
  else
    echo "images: don't know how to load an image into this cluster: push it (REGISTRY=...) and set E2E_VALUES" >&2
    exit 1
  fi
}

for target in ${TARGETS:-gateway agent ingest}; do
  name=${prefix}kubetriage/$target:$tag
  build "$target" "$name"
  if [ -n "${LOAD:-}" ]; then
    archive=$(mktemp -u).tar
    case $engine in
      buildah) buildah push "$name" "docker-archive:$archive:docker.io/$name" ;;
      *) "$engine" save -o "$archive" "$name" ;;
    esac
    load "$archive"
    rm -f "$archive"
  fi
done
echo "image, MB, MB above its base"
below=$(size "$base")
for target in ${TARGETS:-gateway agent ingest}; do
  name=${prefix}kubetriage/$target:$tag
  python3 - "$name" "$(size "$name")" "$below" <<'PY'
import re, sys
def megabytes(text: str) -> float:
    number, unit = re.fullmatch(r"([\d.]+)\s*([kMG]?B?)", text.strip()).groups()
    return float(number) * {"": 1e-6, "B": 1e-6, "kB": 1e-3, "MB": 1.0, "M": 1.0, "GB": 1e3}[unit]
name, size, base = sys.argv[1:]
print(f"{name} {megabytes(size):.0f} {megabytes(size) - megabytes(base):.0f}")
PY
done
