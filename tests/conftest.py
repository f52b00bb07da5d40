import pytest

from arena.models import Arena
from tests import cast


@pytest.fixture
def small_arena(db) -> Arena:
    return cast.make_small_arena()
