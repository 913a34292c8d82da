"""Numbers that have names in MuJoCo's headers."""

FREE_JOINT, BALL_JOINT, SLIDE_JOINT, HINGE_JOINT = range(4)  # mjtJoint
PLANE, SPHERE, CAPSULE = 0, 2, 3  # mjtGeom
EULER, RUNGE_KUTTA = 0, 1  # mjtIntegrator
