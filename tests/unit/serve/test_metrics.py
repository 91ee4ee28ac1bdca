from prometheus_client.parser import text_string_to_metric_families

from tests.served import ask, served

STEPS = ("", "tokenization_", "queue_", "inference_")
NAMES = {
    "te_request_count",
    "te_request_success",
    "te_request_failure",
    "te_embed_count",
    "te_embed_success",
    "te_predict_count",
    "te_predict_success",
    "te_request_input_length",
    "te_batch_next_size",
    "te_batch_next_tokens",
    "te_queue_size",
    *(f"te_{kind}_{step}duration" for kind in ("request", "embed", "predict") for step in STEPS),
}


def test_metrics_have_teis_names_and_count():
    with served(None, ("dense", "labels")) as running:
        ask(running.url + "/embed", {"inputs": ["a", "b"]})
        ask(running.url + "/embed", {"inputs": "a"})
        ask(running.url + "/predict", {"inputs": "a"})
        ask(running.url + "/predict", {"inputs": 5})
        reply = ask(running.url + "/metrics")
    assert reply.headers["content-type"].startswith("text/plain; version=")
    families = {each.name: each for each in text_string_to_metric_families(reply.text.decode())}
    assert {*families} == NAMES

    def value(name, **labels):
        return next(
            sample.value
            for family in families.values()
            for sample in family.samples
            if sample.name.removesuffix("_total") == name
            and labels.items() <= sample.labels.items()
        )

    assert value("te_request_count", method="batch") == 1
    assert value("te_request_count", method="single") == 3
    assert value("te_request_success", method="single") == 2
    assert value("te_request_failure", err="validation") == 1
    assert (value("te_embed_count"), value("te_embed_success")) == (3, 3)
    assert (value("te_predict_count"), value("te_predict_success")) == (1, 1)
    assert value("te_request_duration_count") == 3
    assert value("te_embed_duration_count") == 2
    assert value("te_embed_inference_duration_count") == 2
    assert value("te_batch_next_size_sum") == 4
    assert value("te_queue_size") == 0
