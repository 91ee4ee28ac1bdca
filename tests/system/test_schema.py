"""What the OpenAPI document promises holds, whatever is sent: no failure, no surprise."""

import pytest
from hypothesis import HealthCheck, given, settings

from tests.served import index_of, served

schemathesis = pytest.importorskip("schemathesis")
checks = pytest.importorskip("schemathesis.checks")
specs = pytest.importorskip("schemathesis.specs.openapi.checks")

# Not among them: that whatever fits the schema is accepted. A text without [MASK], a prompt that
# the model does not have or more numbers than its vectors have are well-formed and still refused.
CHECKS = (
    checks.not_a_server_error,
    specs.status_code_conformance,
    specs.content_type_conformance,
    specs.response_schema_conformance,
    specs.response_headers_conformance,
    specs.negative_data_rejection,
    specs.unsupported_method,
)


@pytest.fixture(scope="module")
def described(tmp_path_factory):
    with served(index=index_of(tmp_path_factory.mktemp("late"), "late")) as running:
        yield schemathesis.openapi.from_url(running.url + "/openapi.json")


@pytest.mark.slow
@pytest.mark.parametrize("mode", schemathesis.GenerationMode)
def test_every_reply_is_as_described(described, mode):
    operations = [each.ok() for each in described.get_all_operations()]
    assert len(operations) >= 30
    if mode is schemathesis.GenerationMode.NEGATIVE:
        # Nothing can be wrong where nothing is sent.
        operations = [each for each in operations if each.method == "post"]
    for operation in operations:

        @given(case=operation.as_strategy(generation_mode=mode))
        @settings(
            max_examples=25,
            derandomize=True,
            deadline=None,
            suppress_health_check=[*HealthCheck],
            database=None,
        )
        def holds(case):
            case.call_and_validate(checks=CHECKS)

        holds()
