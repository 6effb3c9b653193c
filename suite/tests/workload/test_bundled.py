# SPDX-License-Identifier: BSD-3-Clause
from __future__ import annotations

import json
import re
from math import prod
from pathlib import Path

import jsonschema
import pytest

from allocmark.workload.language import schema
from allocmark.workload.language.distributions import KINDS
from allocmark.workload.language.expand import Template
from allocmark.workload.language.find import BUNDLED, SETS, find_workload, set_of
from allocmark.workload.language.load import load
from allocmark.workload.language.parts import Part
from allocmark.workload.language.schema import json_schema
from allocmark.workload.language.steps import STEPS

FOLDERS = [BUNDLED, *(BUNDLED / name for name in SETS)]
NAMES = sorted(path.stem for folder in FOLDERS for path in folder.glob("*.yaml"))


@pytest.fixture(params=NAMES)
def template(request: pytest.FixtureRequest) -> Template:
    return find_workload(request.param)


def test_every_case_is_valid(template: Template) -> None:
    assert len(template.cases()) == prod(map(len, template.sweep.values()))


def test_the_default_comparison_is_short_and_fits_two_cores() -> None:
    templates = [template for name in NAMES if (template := find_workload(name)).default]
    assert {template.name for template in templates} == {"burst", "mixed_sizes", "cross_core_free"}
    cases = [case for template in templates for case in template.cases(short=True)]
    assert 8 <= len(cases) <= 10
    assert all(sum(actor.count for actor in case.workload.actors.values()) <= 2 for case in cases)


def test_each_says_where_its_shape_comes_from(template: Template) -> None:
    assert len(template.source.split()) >= 10
    assert "\n" not in template.summary


def test_editors_accept_it(template: Template) -> None:
    jsonschema.Draft202012Validator(json_schema()).validate(json.loads(json.dumps(load(template.path))))
    schema = "../schema.json" if set_of(template.path) else "schema.json"
    assert f"# yaml-language-server: $schema={schema}\n" in template.path.read_text(encoding="utf-8")


def test_the_schema_for_editors_is_up_to_date() -> None:
    written = json.loads((BUNDLED / "schema.json").read_text(encoding="utf-8"))
    assert written == json_schema(), "run: allocmark workloads schema > workloads/schema.json"


REFERENCE = Path(__file__).parents[3] / "docs" / "how-do-i-write-a-workload.md"


def test_the_example_of_the_reference_is_valid() -> None:
    [example] = re.findall(r"^```yaml\n(.*?)^```$", REFERENCE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    assert len(Template.parse(example, REFERENCE).cases()) == 8


def test_the_reference_names_every_key() -> None:
    text = REFERENCE.read_text(encoding="utf-8").replace("```", "")
    words = {word for code in re.findall(r"`([^`]+)`", text) for word in re.findall(r"[a-z_]+", code)}
    models = (schema.FileHeader, schema.Workload, schema.Pool, schema.Queue, schema.Actor, *STEPS, *KINDS)
    keys = {key for model in models if issubclass(model, Part) for key in model.allowed()}
    assert keys | {model.kind for model in (*STEPS, *KINDS)} <= words
