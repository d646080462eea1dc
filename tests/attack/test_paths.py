"""Nothing is written where only searches or reads pass, whatever the path looks like."""

from __future__ import annotations

import pytest

from tests.support.attack.path_attacks import writing_path
from tests.support.attack.scale import SCALE, made_up
from tests.support.servers.service_process import serving

pytestmark = [pytest.mark.live, pytest.mark.attack]

INPUTS = 300 * SCALE


@pytest.mark.parametrize("mode", ["search", "read-only"])
def test_nothing_is_written_where_only_reads_pass_even_with_a_lent_account(mode, cluster, attacked, tmp_path):
    lent = {"lend_account": True, "opensearch_user": "admin", "opensearch_password": "admin"}
    with serving(tmp_path, **cluster.settings, **lent, pass_through=mode) as running:
        attempts = made_up("paths", writing_path, INPUTS)
        attacked(f"writing paths, {mode}", running, attempts, reads_all=True, held="nothing was written")
