"""Train the networks of this folder from scratch, and write them as ONNX files beside the recipes.

python examples/digits/train.py                # cnn.onnx and depthwise.onnx, in about ten seconds
python examples/digits/train.py --epochs 0 --folder examples/digits/first    # as they were before the training
python examples/digits/train.py --help
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parents[1]))

import onnx  # noqa: E402
import torch  # noqa: E402
from torch import nn  # noqa: E402

from edgecompress.compress import torch_graph  # noqa: E402
from edgecompress.compress.training import TrainingOptions, train  # noqa: E402
from edgecompress.core import data  # noqa: E402
from edgecompress.core.recipe import DataSource  # noqa: E402
from edgecompress.core.values import Context, Data, Model, TensorSpec  # noqa: E402
from edgecompress.models import onnx_file  # noqa: E402
from examples.digits import networks  # noqa: E402

IMAGE = TensorSpec(name="image", shape=(1, 1, 8, 8), dtype="float32")
SCORES = TensorSpec(name="scores", shape=(1, 10), dtype="float32")
TRAINED = {
    "cnn": TrainingOptions(epochs=15, learning_rate=4e-3),
    "depthwise": TrainingOptions(epochs=20, learning_rate=1e-2, schedule="one_cycle"),
}
"""How each network is trained; by its name in networks.py."""


def samples() -> Data:
    """Seven tenths of the digits train, as in the recipes."""
    source = DataSource(function="digits:samples", module_folder=FOLDER, training_share=0.7, calibration_count=200)
    return data.load(source, (IMAGE,))


def trained(name: str, *, seed: int = 0, epochs: int | None = None) -> nn.Module:
    """Build the network `name` of networks.py and train it, for so many epochs in the place of its own."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network: nn.Module = getattr(networks, name)()
    options = TRAINED[name].model_copy(update={"seed": seed} | ({} if epochs is None else {"epochs": epochs}))
    train(network, Context(data=samples(), where=f"examples/digits, {name}"), options, name=name)
    return network


def as_onnx(network: nn.Module, name: str) -> Model:
    """Return the network as ONNX, its batch norms folded into the convolutions."""
    untold = Model(name=name, graph=onnx.ModelProto(), inputs=(IMAGE,), outputs=(SCORES,))
    return torch_graph.to_onnx(network, like=untold)


def main() -> None:
    """Train and export every network."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0, help="of the first weights and the batches; default 0")
    parser.add_argument("--epochs", type=int, help="of each network, 0 for untrained ones; default 15 and 20")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the .onnx files go; default: this folder")
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    for name in TRAINED:
        network = trained(name, seed=asked.seed, epochs=asked.epochs)
        onnx_file.save(as_onnx(network, name), asked.folder / f"{name}.onnx")
        scored = samples().evaluation
        with torch.no_grad():
            found = network(torch.from_numpy(scored.inputs[IMAGE.name])).argmax(dim=1).numpy()
        print(f"{name}: {(found == scored.labels).mean():.2%} of {scored.count} digits that it was not trained on")


if __name__ == "__main__":
    main()
