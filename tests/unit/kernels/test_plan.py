import pytest
import torch

from modernbert.kernels.attention.plan import Band, Whole, plan_for


@pytest.mark.parametrize("window", [None, 8, 128])
def test_every_token_has_a_place_of_its_own(window):
    lengths = (5, 64, 65, 200, 1, 70)
    plan = plan_for(lengths, window, torch.float32)
    assert len(plan.place) == sum(lengths)
    assert len(set(plan.place.tolist())) == sum(lengths)


def test_short_documents_share_rows():
    plan = plan_for((32, 31) * 4, None, torch.float32)
    (rows,) = plan.stretches
    assert isinstance(rows, Band)
    assert (rows.num_blocks, rows.reach) == (4, 0)


def test_long_documents_are_alone_in_global_layers_and_together_in_local_ones():
    lengths = (300, 10, 400)
    kinds = [type(stretch) for stretch in plan_for(lengths, None, torch.float32).stretches]
    assert kinds == [Whole, Whole, Whole]
    kinds = [type(stretch) for stretch in plan_for(lengths, 128, torch.float32).stretches]
    assert kinds == [Band, Whole]


@pytest.mark.parametrize("window", [None, 128])
@pytest.mark.parametrize("number", [1, 5])
def test_short_documents_of_one_length_are_read_where_they_are(window, number):
    plan = plan_for((21,) * number, window, torch.float32)
    (stretch,) = plan.stretches
    assert isinstance(stretch, Whole)
    assert (stretch.start, stretch.number, stretch.length) == (0, number, 21)
    assert plan.is_ordered


def test_neighbours_of_one_length_are_one_grid_in_global_layers():
    stretches = plan_for((300, 300, 10, 400, 300), None, torch.float32).stretches
    grids = [(s.start, s.number, s.length) for s in stretches if isinstance(s, Whole)]
    assert grids == [(0, 2, 300), (600, 1, 10), (610, 1, 400), (1010, 1, 300)]


@pytest.mark.parametrize("window", [2, 8, 128])
def test_a_document_a_little_longer_than_a_block_is_read_under_a_mask(window):
    plan = plan_for((80, 80, 600, 70), window, torch.float32)
    whole, band, other = plan.stretches
    assert isinstance(whole, Whole)
    assert isinstance(band, Band)
    assert isinstance(other, Whole)
    assert ((whole.number, whole.length), (other.number, other.length)) == ((2, 80), (1, 70))
    assert plan.place.tolist() == [*range(160), *range(160, 760), *range(800, 870)]
    seen = (whole.mask == 0)[0, 0]
    assert seen.sum(1).tolist() == [
        min(79, place + window // 2) - max(0, place - window // 2) + 1 for place in range(80)
    ]


def test_layers_of_one_batch_share_a_plan():
    lengths = (300, 10, 400)
    assert plan_for(lengths, 128, torch.float32) is plan_for(lengths, 128, torch.float32)


def test_no_row_of_a_mask_is_empty():
    for window in (None, 2, 128):
        for stretch in plan_for((1, 33, 40, 333), window, torch.float32).stretches:
            if isinstance(stretch, Band):
                assert (stretch.mask == 0).any(-1).all()


@pytest.mark.parametrize(("lengths", "inner"), [((300,), 2), ((300, 260), 6), ((300, 30, 30), 2)])
def test_only_blocks_among_tokens_in_a_row_are_read_in_place(lengths, inner):
    bands = [s for s in plan_for(lengths, 128, torch.float32).stretches if isinstance(s, Band)]
    assert sum(len(band.inner) for band in bands) == inner


def test_documents_between_others_are_moved():
    band, _ = plan_for((300, 10, 300), 128, torch.float32).stretches
    assert isinstance(band, Band)
    assert len(band.inner) == 0
