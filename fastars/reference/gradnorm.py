"""GradNorm (Chen et al. 2018, arXiv 1711.02257) in terms of its gradients' norms.

Symbols: n_i = |grad L_i| of T tasks, w_i their weights, L~_i = L_i / L_i(0) their loss ratios, r_i = L~_i / mean(L~) their inverse
training rates, G_i = |w_i| n_i, Gbar = mean(G), and the target Gbar r_i^alpha, which counts as a constant.
"""

import numpy as np


def gradnorm_gradient(weights, norms, ratios, alpha):
    """The gradient of L_grad = sum over i of |G_i - target_i| with respect to w (section 3.2): sign(G - target) sign(w) n."""
    rates = ratios / ratios.mean()
    weighted = np.abs(weights) * norms
    return np.sign(weighted - weighted.mean() * rates**alpha) * np.sign(weights) * norms


def gradnorm_closed(norms, ratios, alpha):
    """Return the weights at which every G_i is its target: w_i = r_i^alpha / n_i, scaled to the sum T."""
    with np.errstate(over="ignore", under="ignore", divide="ignore", invalid="ignore"):
        weights = (ratios / ratios.mean()) ** alpha / norms
        if not (weights.min() > 0.0 and weights.sum() < np.inf):
            logarithms = alpha * np.log(ratios / ratios.max()) - np.log(norms)
            weights = np.exp(logarithms - logarithms.max())
    return weights * (len(norms) / weights.sum())


def gradnorm_log(weights, norms, ratios, alpha, learning_rate, least):
    """Return w_i exp(-learning_rate distance_i), scaled to the sum T: a step towards `gradnorm_closed`.

    The distances are log(G_i / target_i) if these are between -1 and 1, and otherwise the logarithms of w over the bounded closed
    weights, minus their mean and clipped to these bounds.
    """
    with np.errstate(over="ignore", under="ignore", divide="ignore", invalid="ignore"):
        weighted = weights * norms
        distance = np.log(weighted / (weighted.mean() * (ratios / ratios.mean()) ** alpha))
        if not np.all(np.abs(distance) <= 1.0):
            closed = bounded_weights(gradnorm_closed(norms, ratios, alpha), least, weights.sum())
            distance = np.log(weights) - np.log(np.maximum(closed, 5e-324))
            distance = np.clip(distance - distance.mean(), -1.0, 1.0)
    stepped = weights * np.exp(-learning_rate * distance)
    return stepped * (len(norms) / stepped.sum())


def gradnorm_softmax(logits, norms, ratios, alpha):
    """Return (w, the gradient of L_grad with respect to v) for w = T softmax(v)."""
    shares = np.exp(logits - logits.max())
    shares /= shares.sum()
    weights = len(norms) * shares
    gradient = gradnorm_gradient(weights, norms, ratios, alpha)
    return weights, len(norms) * shares * (gradient - (shares * gradient).sum())


def bounded_weights(weights, least, total):
    """Scale weights to the sum `total`. Weights that would be below `least` are set to it, and the others share the rest."""
    weights = np.array(weights, np.float64)
    at_least = np.zeros(len(weights), bool)
    while True:
        scaled = np.full(len(weights), least)
        free = ~at_least
        scaled[free] = weights[free] * ((total - least * at_least.sum()) / weights[free].sum())
        if not (scaled[free] < least).any():
            return scaled
        at_least |= scaled < least
