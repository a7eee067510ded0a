"""What it costs to go on with a text whose keys and values are kept.

That needs the cache of module 17, so these tests are of the next module of this package.
"""

import pytest

import tt_autograd as tt
from tt_nn.models import GPT, GPTConfig, ModernGPT, ModernGPTConfig
from tt_profile import Cost, count_flops, profile

pytestmark = pytest.mark.module_18

B = 5  # samples
PAIR = 2 * 6 + 1 + 5 + 2 * 6  # FLOPs for a query and a key of 6 numbers: see test_flops.py
F = 4  # bytes of a float32


def test_generation_costs_the_same_with_and_without_taking_positions_again() -> None:
    tokens = tt.zeros(B, 5, dtype="int64")
    model = GPT(GPTConfig(vocab_size=7, block_size=5, n_layer=1, n_head=2, n_embd=12))
    whole = count_flops(model, tokens).by_op
    assert whole["self_attention"] == B * 2 * (1 + 2 + 3 + 4 + 5) * PAIR
    cache, cached = model.new_cache(), 0
    with tt.no_grad():
        for part in (tokens[:, :2], tokens[:, 2:3], tokens[:, 3:]):
            cached += count_flops(model, part, cache).by_op["cached_attention"]
    assert cached == whole["self_attention"]


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("tokens", [1, 4])
def test_a_block_in_one_op_costs_what_its_parts_cost(bias: bool, tokens: int) -> None:
    sizes = (7, 5, 2, 2, 12)
    modern = ModernGPTConfig(*sizes, value_residual=bias, x0_residual=bias)
    for model in (GPT(GPTConfig(*sizes, bias=bias)), ModernGPT(modern)):
        model.eval()
        costs = []
        for whole in (True, False):
            cache = model.new_cache()
            with tt.no_grad():
                for _ in range(tokens):
                    count = count_flops(model, tt.zeros(1, 1, dtype="int64"), cache)
            costs.append((count.total, count.macs))
            assert any("block_step" in name for name in count.by_op) is whole
            for block in model.blocks:  # one that is listened to is run part by part
                block.mlp.register_forward_hook(lambda module, args, output: None)
        assert costs[0] == costs[1]


def test_generation_reads_the_cache() -> None:
    model = GPT(GPTConfig(vocab_size=11, block_size=4096, n_layer=1, n_head=2, n_embd=8)).eval()

    def step(known: int, tokens: int) -> Cost:
        cache = model.new_cache()
        with tt.no_grad():
            model(tt.zeros(1, known, dtype="int64"), cache)
        inputs = tt.zeros(1, tokens, dtype="int64")
        return profile(model, inputs, cache, backward=False, repeats=1).forward

    # keys and values of ten more positions, for one token and for two
    assert step(20, 1).bytes - step(10, 1).bytes == 10 * 2 * 8 * F
    assert step(20, 2).bytes - step(10, 2).bytes == 10 * 2 * 8 * F
    # one position after 10, layer by layer and, where nothing watches modules, as one op
    with tt.no_grad():
        cache = model.new_cache()
        model(tt.zeros(1, 10, dtype="int64"), cache)
        assert count_flops(model, tt.zeros(1, 1, dtype="int64"), cache).total == step(10, 1).flops
