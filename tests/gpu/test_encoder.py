"""A whole encoder on CUDA: as accurate as on a CPU, however documents are packed."""

import copy

import pytest
import torch

from modernbert.batch import pack, split
from modernbert.infer.graphs import MAX_TOKENS, Graphs
from tests.gpu.devices import BOTH, needs_cuda
from tests.nets import batch_of, config_of, documents_of, lively
from tests.parity.tolerance import distance

LENGTHS = [70, 3, 140, 1, 200, 64, 65]
SHAPE = {"dim": 128, "num_layers": 4, "global_every": 3}


def model_of(device, dtype):
    return lively(config_of(**SHAPE)).encoder.to(device, dtype).eval()


@torch.no_grad()
def encoded(encoder, documents) -> list[torch.Tensor]:
    """Return each document's vectors, on a CPU."""
    batch = pack(documents)
    device = encoder.embeddings.tok_embeddings.weight.device
    return [x.cpu() for x in split(encoder(batch.to(device)), batch.layout)]


@BOTH
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_vectors_are_as_accurate_as_the_formula_in_any_packing(device, dtype):
    documents = documents_of(LENGTHS)
    truth = torch.cat(encoded(model_of("cpu", torch.float64), documents))
    plain = model_of("cpu", dtype)
    plain.backend = "oracle"
    naive = distance(torch.cat(encoded(plain, documents)), truth)
    encoder = model_of(device, dtype)
    together = encoded(encoder, documents)
    turned = encoded(encoder, documents[::-1])[::-1]
    alone = [encoded(encoder, [document])[0] for document in documents]
    for found in (together, turned, alone):
        # In float32 the order of sums is another one on every device.
        assert distance(torch.cat(found), truth) <= 4 * naive


@needs_cuda
def test_a_replayed_graph_gives_what_a_pass_gives():
    encoder = model_of("cuda", torch.bfloat16)
    graphs = Graphs(encoder)
    # The second round meets buckets again, in another order and with other documents.
    for seed, order in ((0, 1), (1, -1)):
        for lengths in ([9], [16], [24], [30, 2], [200, 64, 65], [5] * 7, [1])[::order]:
            batch = batch_of(lengths, seed)
            with torch.no_grad():
                expected = encoder(batch.to("cuda"))
            found, from_there = graphs(batch), graphs(batch.to("cuda"))
            assert torch.equal(found, from_there)
            # Another number of tokens may take other kernels for the products.
            off = (found.double() - expected.double()).norm() / expected.double().norm()
            assert off < 0.02, lengths
    long = batch_of([MAX_TOKENS + 1])
    with torch.no_grad():
        assert torch.equal(graphs(long), encoder(long.to("cuda")))


@needs_cuda
def test_compiled_layers_are_whole_graphs_that_take_any_length():
    torch._dynamo.reset()
    plain = model_of("cuda", torch.bfloat16)
    encoder = copy.deepcopy(plain)
    for layer in encoder.layers:
        layer.compile(dynamic=True, fullgraph=True)
    for index, lengths in enumerate(([70, 3, 140], [9, 100, 64], [5] * 30, [300], [2000, 48])):
        batch = batch_of(lengths).to("cuda")
        with torch.no_grad(), torch._dynamo.config.patch(error_on_recompile=index > 1):
            found, expected = encoder(batch).double(), plain(batch).double()
        assert (found - expected).norm() < 0.02 * expected.norm(), lengths
