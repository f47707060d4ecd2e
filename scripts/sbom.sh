#!/usr/bin/env bash
# The bill of materials of each image's Python packages, as CycloneDX JSON in build/sbom/, from the files that the
# images are installed from. What the base image brings is the base image's to tell.
set -euo pipefail
cd "$(dirname "$0")/.."
tool=${XDG_CACHE_HOME:-$HOME/.cache}/kubetriage/sbom
wanted=$(sha256sum requirements/sbom.txt | cut -d' ' -f1)
if [ "$(cat "$tool/.installed" 2>/dev/null)" != "$wanted" ]; then
  .venv/bin/uv venv --quiet --clear "$tool"
  .venv/bin/uv pip install --quiet --require-hashes --python "$tool/bin/python" -r requirements/sbom.txt
  printf '%s' "$wanted" >"$tool/.installed"
fi
mkdir -p build/sbom
for image in gateway agent ingest; do
  files=(requirements/$image.txt)
  [ "$image" = gateway ] || files+=(requirements/model.txt)
  # Without a serial number and times: the same packages give the same file. It is checked against the schema.
  cat "${files[@]}" | "$tool/bin/cyclonedx-py" requirements - \
    --output-reproducible --spec-version 1.6 --validate --output-file build/sbom/$image.cdx.json
  printf '%s %s\n' "build/sbom/$image.cdx.json" \
    "$(.venv/bin/python -c 'import json,sys; print(len(json.load(open(sys.argv[1]))["components"]), "packages")' build/sbom/$image.cdx.json)"
done
