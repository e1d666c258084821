"""Classifiers that the MNIST benchmark trains on generated images or on few labels."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

N_DRAWS = 5
N_EPOCHS, BATCH_SIZE, BLOCK = 5, 128, 1000


def logistic_accuracy(
    X: np.ndarray, y: np.ndarray, X_test: np.ndarray, y_test: np.ndarray, scale: bool = False
) -> float:
    """Test accuracy of multinomial logistic regression, if asked on standardised columns."""
    classifier = LogisticRegression(max_iter=200)
    model = make_pipeline(StandardScaler(), classifier) if scale else classifier
    return float(model.fit(X, y).score(X_test, y_test))


def few_labels_accuracy(
    features: tuple[np.ndarray, np.ndarray],
    y_train: np.ndarray,
    y_test: np.ndarray,
    n_labels: int,
    seed: int,
    scale: bool,
) -> float:
    """Mean test accuracy over draws of `n_labels` training rows, equally many of each class.

    Parameters
    ----------
    features : pair of ndarray
        Of the training and of the test images. The seed draws the same rows for all features.
    """
    train, test = features
    rng = np.random.default_rng(seed)
    classes = np.unique(y_train)
    each = n_labels // len(classes)
    accuracies = []
    for _ in range(N_DRAWS):
        rows = np.concatenate(
            [rng.choice(np.flatnonzero(y_train == c), each, replace=False) for c in classes]
        )
        accuracies.append(logistic_accuracy(train[rows], y_train[rows], test, y_test, scale))
    return float(np.mean(accuracies))


def conv_accuracy(
    X: np.ndarray, y: np.ndarray, X_test: np.ndarray, y_test: np.ndarray, seed: int
) -> float:
    """Test accuracy of a small convolutional net; rows are 28 x 28 pixels in [0, 1]."""
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    net = nn.Sequential(
        *(nn.Conv2d(1, 32, 3), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(64 * 5 * 5, 128), nn.ReLU(), nn.Linear(128, 10)),
    )
    _train(net, _images(X), torch.from_numpy(y))
    with torch.no_grad():
        found = torch.cat([net(block).argmax(dim=1) for block in _images(X_test).split(BLOCK)])
    return float((found.numpy() == y_test).mean())


def _train(net: nn.Module, images: torch.Tensor, digits: torch.Tensor) -> None:
    optimiser = torch.optim.Adam(net.parameters(), 1e-3)
    for _ in range(N_EPOCHS):
        for rows in torch.randperm(len(images)).split(BATCH_SIZE):
            loss = nn.functional.cross_entropy(net(images[rows]), digits[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()


def _images(X: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(X.astype(np.float32)).reshape(-1, 1, 28, 28)
