"""The sweep of the course: tests of a module fail where, and only where, its exercises are missing.

``python -m tooling.exercises 02 06`` checks some modules, without numbers all. It needs every
package and pytest installed. For each module:

1. On the reference every test passes, while each exercise notes the tests that run it.
2. Without the exercises of later modules the module's tests still pass.
3. On the untouched skeleton every test that runs an exercise fails.
4. With one exercise taken out alone, a test of the module that runs it fails.

A changed package is laid over the installed one by ``PYTHONPATH``; nothing in the checkout changes.
"""
