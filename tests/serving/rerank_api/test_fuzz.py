"""Many requests made from the API's own description: none ends in an error of ours, none hangs.

`make fuzz` runs thousands: `SIDECAR_TEST_FUZZ` is how many for each endpoint and kind.
"""

from __future__ import annotations

import os

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import status_code_conformance

from sidecar.serving.rerank_api.endpoints import BATCH_PATH, ENDPOINTS
from tests.support.servers.api_server import served_api

EXAMPLES = int(os.environ.get("SIDECAR_TEST_FUZZ", "8"))
# One path for each kind of body.
KINDS = {str([one.body for one in endpoint.operations]): endpoint.path for endpoint in ENDPOINTS}
PATHS = [*sorted(KINDS.values()), BATCH_PATH]


@pytest.fixture(scope="module")
def fuzzed():
    with served_api() as served:
        yield served


@pytest.fixture(scope="module")
def schema(fuzzed):
    return schemathesis.openapi.from_url(f"{fuzzed.url}/openapi.json")


@pytest.mark.parametrize("mode", GenerationMode)
@pytest.mark.parametrize("path", PATHS)
def test_no_request_ends_in_an_error_of_ours(schema, fuzzed, path, mode):
    # The same requests each time, unless there are very many of them.
    quiet = settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=EXAMPLES < 100,
        suppress_health_check=list(HealthCheck),
    )
    seen = set()

    @quiet
    @given(case=schema[path]["POST"].as_strategy(generation_mode=mode))
    def ask(case):
        response = case.call(timeout=10)
        case.validate_response(response, checks=[not_a_server_error, status_code_conformance])
        seen.add(response.status_code)

    ask()
    # Requests as described may name models that are not here, and ask for nothing; the others are to be refused.
    assert seen & ({200, 404, 400, 422} if mode is GenerationMode.POSITIVE else {400, 422})
    assert fuzzed.client.get("/health").status_code == 200


def test_the_description_has_every_endpoint(fuzzed):
    paths = fuzzed.client.get("/openapi.json").json()["paths"]
    assert set(paths) == {endpoint.path for endpoint in ENDPOINTS} | {
        BATCH_PATH,
        "/health",
        "/info",
        "/metrics",
        "/tei/health",
        "/tei/info",
        "/v1/models",
        "/v1/models/{name}",
        "/version",
    }
