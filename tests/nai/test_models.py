import pytest
import torch
import torch.nn.functional as F
from torch import nn
from worlds import blobs, world

from nai.evaluate import evaluate
from nai.learn import begin, learn
from nai.methods import Ewc, Finetune, Nai
from nai.models import MODELS, ConvNet, Layer, Mlp, Network, ResNet18, Trace, keep_mask
from nai.models.conv import channels_last
from nai.seeds import Seeds, generator
from nai.training import Training

NETS = {
    "mlp": lambda **o: Mlp((1, 8, 8), 6, widths=(10, 7), **o),
    "conv": lambda **o: ConvNet((3, 8, 8), 6, widths=(4, 6), dense_units=5, **o),
    "resnet18": lambda **o: ResNet18((3, 8, 8), 6, width=4, groups=2, **o),
}
FEATURES = {"mlp": (1, 8, 8), "conv": (3, 8, 8), "resnet18": (3, 8, 8)}


def weights(net, seed=0):
    return {k: net.draw(k, generator(seed, k)) for k in net.shapes()}


def images(name, count=3):
    return torch.randn(count, *FEATURES[name], generator=generator("images"))


def test_an_mlp_is_its_formula():
    net = NETS["mlp"]()
    p, x = weights(net), images("mlp")
    trace = net.trace(p, x)
    first = torch.relu(x.flatten(1) @ p["layers.0.weight"].T + p["layers.0.bias"])
    second = torch.relu(first @ p["layers.1.weight"].T + p["layers.1.bias"])
    torch.testing.assert_close(trace.logits, second @ p["layers.2.weight"].T + p["layers.2.bias"])
    for found, expected in zip(trace.units, (first, second), strict=True):
        torch.testing.assert_close(found, expected)
    for found, expected in zip(trace.inputs, (x.flatten(1), first, second), strict=True):
        torch.testing.assert_close(found, expected)


def test_a_conv_net_is_its_formula():
    net = NETS["conv"]()
    p, x = weights(net), images("conv")
    trace = net.trace(p, x)

    def conv(x, i):
        return torch.relu(F.conv2d(x, p[f"convs.{i}.weight"], p[f"convs.{i}.bias"], padding=1))

    pooled = F.max_pool2d(conv(conv(x, 0), 1), 2)
    pooled = F.max_pool2d(conv(conv(pooled, 2), 3), 2)
    dense = torch.relu(F.linear(pooled.flatten(1), p["dense_layer.weight"], p["dense_layer.bias"]))
    torch.testing.assert_close(trace.logits, F.linear(dense, p["out.weight"], p["out.bias"]))
    torch.testing.assert_close(trace.units[0], conv(x, 0))
    torch.testing.assert_close(trace.units[-1], dense)


def test_a_residual_net_has_eighteen_weighted_layers_and_its_shapes():
    net = ResNet18((3, 32, 32), 10, width=8)
    trace = net.trace(weights(net), torch.randn(2, 3, 32, 32, generator=generator("x")))
    convs = [k for k in net.shapes() if (k.endswith("weight") and "conv" in k) or k == "stem.weight"]
    assert len(convs) + 1 == 18
    assert [tuple(u.shape[1:]) for u in trace.units[::4]] == [
        (8, 32, 32),
        (8, 32, 32),
        (16, 16, 16),
        (32, 8, 8),
        (64, 4, 4),
    ]
    assert trace.logits.shape == (2, 10)


@pytest.mark.parametrize("name", NETS)
def test_a_sample_s_logits_do_not_depend_on_its_batch(name):
    net = NETS[name]()
    p, x = weights(net), images(name, 5)
    torch.testing.assert_close(net.trace(p, x).logits[2:3], net.trace(p, x[2:3]).logits)


@pytest.mark.parametrize("name", NETS)
def test_layers_name_the_parameters_whose_first_axis_counts_their_neurons(name):
    net = NETS[name]()
    trace = net.trace(weights(net), images(name))
    owned = [p for layer in (*net.hidden, net.head) for p in layer.parameters]
    assert sorted(owned) == sorted(net.shapes())
    assert set(net.body()) == set(owned) - set(net.head.parameters)
    for layer, said in zip(net.hidden, trace.units, strict=True):
        assert said.shape[1] == layer.units
        assert all(net.shapes()[p][0] == layer.units for p in layer.parameters)


@pytest.mark.parametrize("name", ["mlp", "conv"])
def test_a_layer_s_source_feeds_its_columns_in_the_order_of_its_neurons(name):
    net = NETS[name]()
    p, x = weights(net), images(name, 1)
    for layer in (*net.hidden[1:], net.head):
        columns = net.shapes()[layer.parameters[0]][1]
        fed = net.hidden[layer.source]
        each = columns // fed.units
        for neuron in range(fed.units):
            silent = {k: v.clone() for k, v in p.items()}
            for parameter in fed.parameters:
                silent[parameter][neuron] = 0  # a neuron that is 0 everywhere
            cut = {k: v.clone() for k, v in p.items()}
            cut[layer.parameters[0]][:, neuron * each : (neuron + 1) * each] = 0
            torch.testing.assert_close(net.trace(silent, x).logits, net.trace(cut, x).logits)


def test_initial_weights_are_uniform_as_pytorch_s_own():
    net = Mlp((100,), 10, widths=(200,))
    for name, module in (("layers.0", nn.Linear(100, 200)), ("layers.1", nn.Linear(200, 10))):
        for kind in ("weight", "bias"):
            drawn = net.draw(f"{name}.{kind}", generator(0, kind))
            own = getattr(module, kind)
            assert drawn.shape == own.shape
            assert drawn.abs().max() <= module.in_features**-0.5
            if kind == "weight":
                assert drawn.std().item() == pytest.approx(own.std().item(), rel=0.1)
                assert abs(drawn.mean().item()) < 0.01
    norm = NETS["resnet18"]()
    assert norm.draw("norm.weight", generator(0)).tolist() == [1] * 4
    assert norm.draw("norm.bias", generator(0)).tolist() == [0] * 4


def test_each_parameter_has_an_address_of_its_own():
    where = world()
    start = begin(where, Finetune(), Seeds(5, 0)).params
    for name, value in start.items():
        assert torch.equal(value, where.net.draw(name, generator(5, "weights", name)))


def test_dropout_keeps_the_mean_and_a_mask_for_each_dropped_layer():
    mask = keep_mask(2000, (20,), 0.25)(generator("mask"))
    assert mask.unique().tolist() == pytest.approx([0, 4 / 3])
    assert mask.mean().item() == pytest.approx(1, abs=0.02)
    assert NETS["mlp"]().draws(8) == {}
    net = NETS["mlp"](dropout=0.5)
    noise = {k: make(generator(k)) for k, make in net.draws(3).items()}
    assert {k: tuple(v.shape) for k, v in noise.items()} == {"dropout.0": (3, 10), "dropout.1": (3, 7)}
    p, x = weights(net), images("mlp")
    trace = net.trace(p, x, noise)
    torch.testing.assert_close(trace.inputs[1], trace.units[0] * noise["dropout.0"])
    torch.testing.assert_close(net.trace(p, x).logits, NETS["mlp"]().trace(p, x).logits)
    conv = NETS["conv"]()
    shapes = {k: tuple(make(generator(k)).shape) for k, make in conv.draws(3).items()}
    assert shapes == {"dropout.0": (3, 4, 4, 4), "dropout.1": (3, 6, 2, 2), "dropout.dense": (3, 5)}


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Mlp((4,), 2, widths=()), r"widths \(\) must be one or more"),
        (lambda: Mlp((4,), 2, widths=(1,)), r"widths \(1,\) .* at least 2"),
        (lambda: Mlp((4,), 2, widths=(2.5,)), r"widths \(2.5,\) .* whole numbers"),
        (lambda: Mlp((4,), 2, activation="silu"), "activation 'silu' is unknown: known are relu"),
        (lambda: Mlp((4,), 2, dropout=1.0), "dropout 1.0 must be at least 0 and below 1"),
        (lambda: ConvNet((64,), 2), r"conv needs images .* got features \(64,\): use model mlp"),
        (lambda: ConvNet((1, 4, 4), 2), "at least 8 pixels a side"),
        (lambda: ResNet18((3, 8, 8), 2, width=6), "width 6 is not a multiple of its 4 norm groups"),
    ],
)
def test_mistakes_are_named(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_a_net_holds_no_numbers_itself():
    for name in MODELS:
        net = (
            world(blobs((8,), features=(1, 8, 8)), name, widths=[4]).net
            if name != "resnet18"
            else NETS[name]()
        )
        assert all(p.is_meta for p in net.parameters())


@pytest.mark.parametrize("under_vmap", [False, True])
def test_a_conv_net_reads_the_same_images_channels_last(under_vmap):
    x = images("conv")
    found = torch.func.vmap(channels_last)(x[None])[0] if under_vmap else channels_last(x)
    assert torch.equal(found, x)
    assert found.is_contiguous(memory_format=torch.channels_last)
    assert not x.is_contiguous(memory_format=torch.channels_last)


def away(ones, others):
    """Distance between the weights of two lists of lessons."""
    pairs = zip(ones, others, strict=True)
    return sum((a.params[k] - v).square().sum() for a, b in pairs for k, v in b.params.items()).sqrt()


@pytest.mark.parametrize("name", ["conv", "resnet18"])
@pytest.mark.parametrize("method", [Finetune(), Nai(strength=0.3), Ewc()], ids=["finetune", "nai", "ewc"])
def test_images_learn_in_stacks_what_they_learn_alone_to_rounding(name, method, monkeypatch):
    """What a GPU does always, on this CPU: a stack moves weights no further than rounding does."""
    options = {"widths": [4, 8], "dense_units": 8} if name == "conv" else {"width": 4, "groups": 2}
    where = world(blobs((40, 33), features=FEATURES[name]), name, **options)
    seeds = [Seeds(n, n) for n in range(3)]
    start = [begin(where, method, s) for s in seeds]

    def taught(many, precision):
        for room in ("learn", "evaluate"):
            monkeypatch.setattr(f"nai.{room}.stackable", lambda net, device: many)
        lessons, training = start, Training(epochs=1, precision=precision)
        for tasks in ([0, 1, 0], [1, 0, 1]):
            lessons = learn(lessons, tasks, where, method, training=training, seeds=seeds)
        return lessons, torch.stack([marks.test for marks in evaluate(lessons, where, method)])

    alone, marks = taught(False, "float32")
    stacked, others = taught(True, "float32")
    assert away(stacked, alone) < 1e-3 * away(start, alone)
    assert (others - marks).abs().max() < 0.13  # two of a task's sixteen
    low, _ = taught(False, "bfloat16")
    low_stacked, _ = taught(True, "bfloat16")
    assert 0 < away(low_stacked, low) < 1.5 * away(low, alone)


def gates_of(net, chance="gates"):
    return [torch.rand(layer.units, generator=generator(chance, layer.name)) for layer in net.hidden]


@pytest.mark.parametrize("name", ["mlp", "conv"])
def test_a_gate_scales_what_its_neuron_sends_on(name):
    """In a chain that is the same as scaling the columns that read the neuron."""
    net = NETS[name]()
    p, x, gates = weights(net), images(name), gates_of(net)
    scaled = {k: v.clone() for k, v in p.items()}
    for layer in (*net.hidden[1:], net.head):
        columns = scaled[layer.parameters[0]]
        gate = gates[layer.source].repeat_interleave(columns.shape[1] // len(gates[layer.source]))
        columns *= gate.view(1, -1, *[1] * (columns.ndim - 2))
    torch.testing.assert_close(net.trace(p, x, gates=gates).logits, net.trace(scaled, x).logits)


def test_gates_stand_before_dropout_and_after_what_a_layer_says():
    net = NETS["mlp"](dropout=0.5)
    p, x, gates = weights(net), images("mlp"), gates_of(net)
    noise = {k: make(generator(k)) for k, make in net.draws(3).items()}
    trace = net.trace(p, x, noise, gates=gates)
    for i, said in enumerate(trace.units):
        assert torch.equal(trace.inputs[i + 1], said * gates[i] * noise[f"dropout.{i}"])


def test_a_residual_net_s_gates_stand_where_its_layers_speak():
    net = NETS["resnet18"]()
    p, x = weights(net), images("resnet18")
    for shut in (0, 7, len(net.hidden) - 1):
        gates = [None] * len(net.hidden)
        gates[shut] = torch.tensor([0.0, 1.0]).repeat(net.hidden[shut].units // 2)
        trace = net.trace(p, x, gates=gates)
        free = net.trace(p, x)
        assert all(map(torch.equal, trace.units[: shut + 1], free.units[: shut + 1]))
        assert not torch.equal(trace.logits, free.logits)
    assert not trace.inputs[-1][:, ::2].any()  # what the head reads of the last layer
    assert torch.equal(trace.inputs[-1][:, 1::2], free.inputs[-1][:, 1::2])


@pytest.mark.parametrize("name", NETS)
def test_gates_of_ones_or_none_and_added_parameters_change_no_bit(name):
    net = NETS[name]()
    p, x = weights(net), images(name)
    expected = net.trace(p, x).logits
    for gates in ([None] * len(net.hidden), [torch.ones(layer.units) for layer in net.hidden]):
        assert torch.equal(net.trace(p, x, gates=gates).logits, expected)
    assert torch.equal(net.trace(p | {"added.by.a.method": torch.ones(3)}, x).logits, expected)
    assert net.gated


def test_a_stack_s_gates_are_those_of_each_replica():
    net = NETS["mlp"]()
    parts = [weights(net, seed) for seed in range(3)]
    many = {k: torch.stack([p[k] for p in parts]) for k in parts[0]}
    x, gates = torch.stack([images("mlp")] * 3), [gates_of(net, seed) for seed in range(3)]
    found = net.trace(many, x, gates=[torch.stack(g) for g in zip(*gates, strict=True)]).logits
    for i, part in enumerate(parts):
        torch.testing.assert_close(found[i], net.trace(part, x[i], gates=gates[i]).logits)


class Bare(Network):
    """A network of a user's own, which knows nothing of gates."""

    def __init__(self):
        super().__init__()
        with torch.device("meta"):
            self.out = nn.Linear(12, 6)
        self.hidden, self.head = (), Layer("out", ("out.weight", "out.bias"), 6, None)

    def forward(self, inputs, noise, taps=None):
        return Trace(self.out(inputs), (inputs,), ())


def test_a_network_without_gates_works_where_none_are_used():
    net = Bare()
    p, x = weights(net), torch.randn(2, 12, generator=generator("x"))
    torch.testing.assert_close(net.trace(p, x).logits, F.linear(x, p["out.weight"], p["out.bias"]))
    assert not net.gated
