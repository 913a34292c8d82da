"""Forward dynamics of MuJoCo models over SIMD lanes."""
