import pytest

pytest.register_assert_rewrite("tests.edge_ledger.damage")  # its asserts are the tests'
