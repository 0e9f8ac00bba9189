"""Write the image's SBOM (CycloneDX) to standard output; the image's build runs it, with requirements/sbom.txt.

    python docker/sbom.py ENVIRONMENT pyproject.toml requirements/run.txt

What is installed says its licence and what it depends on; what is locked says which files it may have come from.
"""

import json
import re
import subprocess
import sys
from typing import Any

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

Component = dict[str, Any]
SCHEMA = SchemaVersion.V1_6


def described(*arguments: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "cyclonedx_py", *arguments, "--spec-version", SCHEMA.to_version()]
    done = subprocess.run([*command, "--output-reproducible", "--no-validate"], stdout=subprocess.PIPE, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def key(component: Component) -> tuple[str, str]:
    """Its name as the index writes it, so that Jinja2 is jinja2, and its version."""
    return re.sub(r"[-_.]+", "-", component["name"]).lower(), component["version"]


def sbom(environment: str, project: str, requirements: str) -> dict[str, Any]:
    found = described("environment", environment, "--pyproject", project)
    locked = {key(component): component for component in described("requirements", requirements)["components"]}
    installed = {key(component): component for component in found["components"]}
    if unknown := installed.keys() - locked.keys():
        raise SystemExit(f"Installed, but not locked: {sorted(unknown)}")
    for name, component in locked.items():
        files = component["externalReferences"]
        if name in installed:
            installed[name].setdefault("externalReferences", []).extend(files)
            continue
        # For another system. The format's word for what is named, and not installed, is "optional".
        absent = {"bom-ref": "==".join(name), "scope": "optional", "externalReferences": files}
        found["components"].append({field: component[field] for field in ("name", "purl", "type", "version")} | absent)
        found["dependencies"].append({"ref": absent["bom-ref"]})
    return found


written = json.dumps(sbom(*sys.argv[1:]), indent=2, sort_keys=True)
if error := JsonStrictValidator(SCHEMA).validate_str(written):
    raise SystemExit(f"Not valid: {error}")
sys.stdout.write(written + "\n")
