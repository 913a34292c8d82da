"""Forward dynamics of articulated bodies in plain NumPy, to be read beside MuJoCo's documentation: the twin of `fastars.physics`.

The functions read the fields of a model by the names of MuJoCo's MjModel. They import neither MuJoCo nor anything else of fastars,
and share no method with the kernels: matrices are dense, M is a sum of J' I J over the bodies, constraints have a Jacobian.
Supported are slides, hinges and free roots; springs, dampers, armature, limits, motors, a medium; spheres and capsules on planes
and on each other; the Euler and Runge-Kutta methods. `fastars.physics.supported` says which models these are.
"""

from .forward import Forward, forward
from .integrators import Step, is_bad, step, version_of
from .kinematics import Kinematics, forward_kinematics

__all__ = ["Forward", "Kinematics", "Step", "forward", "forward_kinematics", "is_bad", "step", "version_of"]
