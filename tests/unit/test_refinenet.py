import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmark.core.errors import BenchmarkError
from benchmark.models.modules.refinenet import RefineNetModule
from benchmark.models.networks.refinenet import RefineNet

torch.set_num_threads(1)


class Statement:
    """The network once more, as a function of its weights, in plain sums.

    It reads weights by the names of the published checkpoint and keeps which of them it read.
    """

    def __init__(self, weights: dict[str, Tensor]) -> None:
        self.weights = weights
        self.read: set[str] = set()

    def __call__(self, x: Tensor, level: Tensor) -> Tensor:
        self.level = level
        h = self.conv("begin_conv", 2 * x - 1)
        one = self.residual("res1.1", self.residual("res1.0", h))
        two = self.residual("res2.1", self.halving("res2.0", one))
        three = self.residual("res3.1", self.dilated("res3.0", two, 2), 2)
        four = self.residual("res4.1", self.dilated("res4.0", three, 4), 4)
        h = self.refine("refine1", [four], 1)
        h = self.refine("refine2", [three, h], 1)
        h = self.refine("refine3", [two, h], 1)
        h = self.refine("refine4", [one, h], 3)
        return self.conv("end_conv", elu(self.norm("normalizer", h)))

    def get(self, name: str) -> Tensor:
        self.read.add(name)
        return self.weights[name]

    def conv(self, name: str, x: Tensor, dilation: int = 1) -> Tensor:
        """Sum over the kernel's offsets, the image padded with zeros."""
        kernel = self.get(f"{name}.weight")
        reach = kernel.shape[-1] // 2
        height, width = x.shape[2:]
        padded = F.pad(x, [reach * dilation] * 4)
        out = torch.zeros(len(x), len(kernel), height, width, dtype=x.dtype)
        for i in range(kernel.shape[2]):
            for j in range(kernel.shape[3]):
                part = padded[:, :, i * dilation :, j * dilation :][:, :, :height, :width]
                out += torch.einsum("bchw,oc->bohw", part, kernel[:, :, i, j])
        bias = f"{name}.bias"
        return out + self.get(bias)[:, None, None] if bias in self.weights else out

    def norm(self, name: str, x: Tensor) -> Tensor:
        channels = x.shape[1]
        means = x.mean((2, 3))
        deviation = (((x - means[:, :, None, None]) ** 2).mean((2, 3)) + 1e-5).sqrt()
        middle = means.mean(1, keepdim=True)
        variance = ((means - middle) ** 2).sum(1, keepdim=True) / (channels - 1)
        m = (means - middle) / (variance + 1e-5).sqrt()
        embedded = self.get(f"{name}.embed.weight")[self.level]
        gamma, alpha, beta = (
            embedded[:, i * channels : (i + 1) * channels, None, None] for i in range(3)
        )
        h = (x - means[:, :, None, None]) / deviation[:, :, None, None]
        return gamma * h + gamma * alpha * m[:, :, None, None] + beta

    def residual(self, name: str, x: Tensor, dilation: int = 1) -> Tensor:
        return x + self.branch(name, "conv2", x, dilation)

    def dilated(self, name: str, x: Tensor, dilation: int) -> Tensor:
        short = self.conv(f"{name}.shortcut", x, dilation)
        return short + self.branch(name, "conv2", x, dilation)

    def halving(self, name: str, x: Tensor) -> Tensor:
        short = self.conv(f"{name}.shortcut.conv", x)
        return quarters(short) + quarters(self.branch(name, "conv2.conv", x))

    def branch(self, name: str, last: str, x: Tensor, dilation: int = 1) -> Tensor:
        h = self.conv(f"{name}.conv1", elu(self.norm(f"{name}.normalize1", x)), dilation)
        return self.conv(f"{name}.{last}", elu(self.norm(f"{name}.normalize2", h)), dilation)

    def adapt(self, name: str, x: Tensor, blocks: int) -> Tensor:
        for b in range(1, blocks + 1):
            h = self.conv(f"{name}.{b}_1_conv", elu(self.norm(f"{name}.{b}_1_norm", x)))
            x = x + self.conv(f"{name}.{b}_2_conv", elu(self.norm(f"{name}.{b}_2_norm", h)))
        return x

    def refine(self, name: str, xs: list[Tensor], blocks: int) -> Tensor:
        hs = [self.adapt(f"{name}.adapt_convs.{i}", x, 2) for i, x in enumerate(xs)]
        h = hs[0]
        if len(hs) > 1:
            fused = [
                self.conv(f"{name}.msf.convs.{i}", self.norm(f"{name}.msf.norms.{i}", h))
                for i, h in enumerate(hs)
            ]
            h = fused[0] + resized(fused[1], fused[0].shape[2], fused[0].shape[3])
        h = pooled = elu(h)
        for i in range(2):
            pooled = self.norm(f"{name}.crp.norms.{i}", pooled)
            pooled = self.conv(f"{name}.crp.convs.{i}", neighbourhood(pooled))
            h = h + pooled
        return self.adapt(f"{name}.output_convs", h, blocks)


def elu(x: Tensor) -> Tensor:
    return torch.where(x > 0, x, torch.expm1(torch.minimum(x, torch.zeros(()))))


def quarters(x: Tensor) -> Tensor:
    return sum(x[:, :, i::2, j::2] for i in (0, 1) for j in (0, 1)) / 4


def neighbourhood(x: Tensor) -> Tensor:
    height, width = x.shape[2:]
    padded = F.pad(x, [2] * 4)
    return sum(padded[:, :, i : i + height, j : j + width] for i in range(5) for j in range(5)) / 25


def resized(x: Tensor, height: int, width: int) -> Tensor:
    """Interpolate linearly so that corners fall on corners."""
    rows, columns = (hats(n, m, x.dtype) for n, m in zip(x.shape[2:], (height, width), strict=True))
    return torch.einsum("bchw,ih,jw->bcij", x, rows, columns)


def hats(n: int, m: int, dtype: torch.dtype) -> Tensor:
    positions = torch.linspace(0, n - 1, m, dtype=dtype)
    return (1 - (positions[:, None] - torch.arange(n)).abs()).clamp(min=0)


def random_network(spec: RefineNet) -> nn.Module:
    """Draw every parameter, so that each counts."""
    network = RefineNetModule(spec).double()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            drawn = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            parameter.copy_(0.3 * drawn)
    return network


def images(size: tuple[int, int], levels: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    x = torch.rand((3, 3, *size), generator=generator, dtype=torch.float64)
    return x, torch.randint(levels, (3,), generator=generator)


@pytest.mark.parametrize("size", [(32, 32), (8, 12), (28, 28)])
def test_output_is_that_of_the_plain_statement(size: tuple[int, int]) -> None:
    spec = RefineNet(channels=4, levels=5)
    network = random_network(spec)
    x, level = images(size, spec.levels)
    expected = Statement(network.state_dict())(x, level)
    assert expected.std() > 0.01
    torch.testing.assert_close(network(x, level), expected, atol=1e-10, rtol=1e-10)


def test_names_are_those_of_the_published_checkpoint() -> None:
    spec = RefineNet(channels=4, levels=2)
    weights = random_network(spec).state_dict()
    statement = Statement(weights)
    statement(*images((4, 4), spec.levels))
    assert statement.read == set(weights)


def test_network_of_the_paper_has_30_117_635_parameters() -> None:
    with torch.device("meta"):
        network = RefineNetModule(RefineNet())
    assert sum(p.numel() for p in network.parameters()) == 30_117_635


def test_an_image_is_predicted_alike_in_every_batch() -> None:
    spec = RefineNet(channels=4, levels=5)
    network = random_network(spec)
    x, level = images((8, 8), spec.levels)
    torch.testing.assert_close(network(x[1:2], level[1:2]), network(x, level)[1:2])


def test_every_parameter_learns() -> None:
    spec = RefineNet(channels=4, levels=1)
    network = random_network(spec)
    x, level = images((8, 8), spec.levels)
    network(x, level).square().mean().backward()
    still = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert still == []


def test_fresh_norms_scale_by_about_one_and_shift_by_nothing() -> None:
    weights = RefineNetModule(RefineNet(channels=8, levels=10)).state_dict()
    embeddings = [w for name, w in weights.items() if name.endswith("embed.weight")]
    scales = torch.cat([w[:, : 2 * w.shape[1] // 3].flatten() for w in embeddings])
    shifts = torch.cat([w[:, 2 * w.shape[1] // 3 :].flatten() for w in embeddings])
    assert scales.mean().item() == pytest.approx(1, abs=0.002)
    assert scales.std().item() == pytest.approx(0.02, rel=0.1)
    assert not shifts.any()


def test_levels_may_be_whole_floats() -> None:
    spec = RefineNet(channels=4, levels=5)
    network = random_network(spec)
    x, level = images((8, 8), spec.levels)
    torch.testing.assert_close(network(x, level.float()), network(x, level))


def test_odd_resolution_is_refused() -> None:
    spec = RefineNet(channels=4)
    assert isinstance(spec.build(30), RefineNetModule)
    with pytest.raises(BenchmarkError, match="multiple of 2, not 31"):
        spec.build(31)
