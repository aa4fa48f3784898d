"""Release assignments and grade what comes back, strangers' code included.

The command ``coursekit`` needs the extra ``[grading]``. Its processes::

    coursekit grade        cli, gradebook/whole_class
      | a thread a notebook, with a socket       examiner/client
      | to a server: job -> rows, done
      v
    server (one a notebook) <--fork-- examiner, imports TensorFlow   examiner/server
      | fork a job, with a memory limit    | starts and owns
      v                                    v
    job: session and tests   +-- bubblewrap: no network, read-only ----+
      |  examiner/session,   |                                         |
      |  task_tests          |                                         |
      |--- 2 sockets --------|-> warm parent, imports TensorFlow once  | sandbox/warm
      |<-- life: CPU time,   |   | fork: namespaces of its own, waits  | sandbox/isolate
      |    how it ended      |   | fork: process 1, own files, waits   |
      |                      |   v fork: limits, no rights             |
      |<== talk: values =====|=> room: the student's cells             | sandbox/room
      |    border/           +-----------------------------------------+

All start with ``sandbox/start`` and speak ``border/channel``. Left of the wall is
trusted. What crosses is JSON with a nonce; values are bare data. A lost room costs a
task, after the task was lost once more in a room of its own while nothing else ran. A
lost sandbox or server is replaced once, then its tasks are ``not_graded``.
"""
