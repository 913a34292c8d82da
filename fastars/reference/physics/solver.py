"""The constrained acceleration, by Newton's method.

MuJoCo's documentation, "Computation", "Constraint solver", "Reduced primal problem", equation (reduced):
qacc = argmin over x of 1/2 (x - a)' M (x - a) + s(J x - aref), where a is the acceleration without constraints and
s(r) = 1/2 sum of D r^2 over the rows with r < 0. It is strictly convex and piecewise quadratic: a full step that changes no row's
sign ends at the minimum.
"""

import numpy as np

ITERATIONS = 200


def constrained_acceleration(mass, force, rows):
    """Return (qacc, row_forces): (nv,) and (n_rows,), from M, tau - c, and the `Rows`."""
    unconstrained = np.linalg.solve(mass, force)
    x = unconstrained
    for _ in range(ITERATIONS):
        residual = rows.jacobian @ x - rows.aref
        active = residual < 0
        gradient = mass @ x - force + rows.jacobian.T @ np.where(active, rows.stiffness * residual, 0.0)
        hessian = mass + (rows.jacobian.T * np.where(active, rows.stiffness, 0.0)) @ rows.jacobian
        step = -np.linalg.solve(hessian, gradient)
        along = rows.jacobian @ step
        if np.array_equal(residual + along < 0, active):
            x = x + step
            break
        x = x + line_search(step @ mass @ step, step @ (mass @ x - force), residual, along, rows.stiffness) * step
    residual = rows.jacobian @ x - rows.aref
    return x, np.where(residual < 0, -rows.stiffness * residual, 0.0)


def line_search(curvature, slope, residual, along, stiffness):
    """Return the t > 0 at which the cost along a step is least.

    Its derivative slope + t curvature + sum of D along (residual + t along) over the rows with residual + t along < 0 is piecewise
    linear and rises: go from kink to kink until it is positive, then solve for its zero.
    """
    moving = along != 0
    kinks = np.sort([t for t in -residual[moving] / along[moving] if t > 0])

    def line(t):
        """Return (value at 0, slope) of the derivative's linear piece that holds just before t."""
        active = (residual + t * along) < 0
        return (
            slope + np.sum(np.where(active, stiffness * along * residual, 0.0)),
            curvature + np.sum(np.where(active, stiffness * along**2, 0.0)),
        )

    start = 0.0
    for kink in [*kinks, np.inf]:
        inside = (start + kink) / 2 if np.isfinite(kink) else start + 1.0
        value, rise = line(inside)
        if value + rise * kink >= 0:
            return -value / rise
        start = kink
    return start
