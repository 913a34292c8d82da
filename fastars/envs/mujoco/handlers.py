"""Handlers of MuJoCo's messages, in LLVM's language.

MuJoCo has a handler for each thread, beside the one of the process, which belongs to the user. fastars uses the thread's alone:
nothing that another thread calls is ever exchanged or freed. The handlers are machine code: they need neither a lock nor the GIL.

A warning becomes a node of a list that belongs to the thread, if the thread collects warnings (`begin` ... `end`). A fatal error
jumps back to the guarded call (`guard.py`).
"""

TEXT_BYTES = 1024  # of a message
_MAX_BYTES = 2048  # of the name of a C function and a message

# A node is the address of the next one, and a text. The list ends with the address of `end_of_list`; no list is null.
# A key of a thread has 4 bytes on Linux and 8 on macOS. Both are kept in 8, and handed on as 8: the others are 0.
_LISTS = """
declare i32 @pthread_key_create(ptr, ptr)
declare i32 @pthread_setspecific(i64, ptr)
declare ptr @pthread_getspecific(i64)
declare i32 @snprintf(ptr, i64, ptr, ...)
declare i64 @strlen(ptr)
declare ptr @malloc(i64)
declare void @free(ptr)
declare ptr @strcpy(ptr, ptr)

@frame_key = internal global i64 0    ; of the frame that this thread's guarded call belongs to
@list_key = internal global i64 0     ; of the newest warning that this thread collects
@fastars_end_of_list = global ptr null
@with_function = internal constant [7 x i8] c"%s: %s\\00"
@without_function = internal constant [3 x i8] c"%s\\00"

define void @fastars_init() {
  call i32 @pthread_key_create(ptr @frame_key, ptr null)
  call i32 @pthread_key_create(ptr @list_key, ptr null)
  ret void
}

define internal void @write_text(ptr %to, i64 %size, ptr %function, ptr %text) {
  %no_function = icmp eq ptr %function, null
  br i1 %no_function, label %text_only, label %both
both:
  call i32 (ptr, i64, ptr, ...) @snprintf(ptr %to, i64 %size, ptr @with_function, ptr %function, ptr %text)
  ret void
text_only:
  call i32 (ptr, i64, ptr, ...) @snprintf(ptr %to, i64 %size, ptr @without_function, ptr %text)
  ret void
}

define internal void @keep_warning(ptr %function, ptr %text) {
  %buffer = alloca [MAX_BYTES x i8]
  %key = load i64, ptr @list_key
  %newest = call ptr @pthread_getspecific(i64 %key)
  %collects = icmp ne ptr %newest, null
  br i1 %collects, label %collect, label %done
collect:
  call void @write_text(ptr %buffer, i64 MAX_BYTES, ptr %function, ptr %text)
  %length = call i64 @strlen(ptr %buffer)
  %size = add i64 %length, 9
  %node = call ptr @malloc(i64 %size)
  %no_memory = icmp eq ptr %node, null
  br i1 %no_memory, label %done, label %link
link:
  store ptr %newest, ptr %node
  %room = getelementptr i8, ptr %node, i64 8
  call ptr @strcpy(ptr %room, ptr %buffer)
  call i32 @pthread_setspecific(i64 %key, ptr %node)
  br label %done
done:
  ret void
}

define internal void @jump(ptr %function, ptr %text) noreturn {
  %key = load i64, ptr @frame_key
  %frame = call ptr @pthread_getspecific(i64 %key)
  %room = getelementptr i8, ptr %frame, i64 JUMP_BYTES
  call void @write_text(ptr %room, i64 TEXT_BYTES, ptr %function, ptr %text)
  call void @longjmp(ptr %frame, i32 1)
  unreachable
}

define void @fastars_free(ptr %node) {
  call void @free(ptr %node)
  ret void
}

define void @fastars_begin(ptr %saved) {    ; collect the warnings of this thread; %saved has room for what was there
  %key = load i64, ptr @list_key
  %list = call ptr @pthread_getspecific(i64 %key)
  store ptr %list, ptr %saved
  call i32 @pthread_setspecific(i64 %key, ptr @fastars_end_of_list)
  %room = getelementptr i8, ptr %saved, i64 8
  START_COLLECTING
  ret void
}

define ptr @fastars_end(ptr %saved) {    ; go on as before `begin`; return the list
  %key = load i64, ptr @list_key
  %list = call ptr @pthread_getspecific(i64 %key)
  %outer = load ptr, ptr %saved
  call i32 @pthread_setspecific(i64 %key, ptr %outer)
  %room = getelementptr i8, ptr %saved, i64 8
  %handler = load ptr, ptr %room
  STOP_COLLECTING
  ret ptr %list
}
"""

# MuJoCo 3.10 and later: one handler, which gets a mjLogMessage: int level, int topic, char subject[1024], body, function, ...
_LOG = """
declare ptr @_mjPRIVATE_setTlsLogHandler(ptr)

define internal void @on_message(ptr %message) {
  %level = load i32, ptr %message
  %subject = getelementptr i8, ptr %message, i64 8
  %field = getelementptr i8, ptr %message, i64 1040
  %function = load ptr, ptr %field
  switch i32 %level, label %ignore [ i32 2, label %warning
                                     i32 3, label %error ]
error:
  call void @jump(ptr %function, ptr %subject)
  unreachable
warning:
  call void @keep_warning(ptr %function, ptr %subject)
  ret void
ignore:
  ret void
}
"""
_LOG_CALLS = {
    "START_COLLECTING": """
  %handler = call ptr @_mjPRIVATE_setTlsLogHandler(ptr @on_message)
  store ptr %handler, ptr %room""",
    "STOP_COLLECTING": "call ptr @_mjPRIVATE_setTlsLogHandler(ptr %handler)",
    "ENTER_GUARD": "%handler = call ptr @_mjPRIVATE_setTlsLogHandler(ptr @on_message)",
    "LEAVE_GUARD": "call ptr @_mjPRIVATE_setTlsLogHandler(ptr %handler)",
}
# Before: a handler for errors, and one for warnings.
_TEXTS = """
declare ptr @_mjPRIVATE__get_tls_error_fn()
declare ptr @_mjPRIVATE__get_tls_warning_fn()
declare void @_mjPRIVATE__set_tls_error_fn(ptr)
declare void @_mjPRIVATE__set_tls_warning_fn(ptr)

define internal void @on_error(ptr %text) {
  call void @jump(ptr null, ptr %text)
  unreachable
}

define internal void @on_warning(ptr %text) {
  call void @keep_warning(ptr null, ptr %text)
  ret void
}
"""
_TEXTS_CALLS = {
    "START_COLLECTING": """
  %handler = call ptr @_mjPRIVATE__get_tls_warning_fn()
  store ptr %handler, ptr %room
  call void @_mjPRIVATE__set_tls_warning_fn(ptr @on_warning)""",
    "STOP_COLLECTING": "call void @_mjPRIVATE__set_tls_warning_fn(ptr %handler)",
    "ENTER_GUARD": """
  %error_handler = call ptr @_mjPRIVATE__get_tls_error_fn()
  %handler = call ptr @_mjPRIVATE__get_tls_warning_fn()
  call void @_mjPRIVATE__set_tls_error_fn(ptr @on_error)
  call void @_mjPRIVATE__set_tls_warning_fn(ptr @on_warning)""",
    "LEAVE_GUARD": """
  call void @_mjPRIVATE__set_tls_error_fn(ptr %error_handler)
  call void @_mjPRIVATE__set_tls_warning_fn(ptr %handler)""",
}


def handlers_for(has_log_handler: bool) -> tuple[str, dict[str, str]]:
    """Return the handlers' code for a version of MuJoCo, and what the words in it and in the guard stand for."""
    code, calls = (_LOG, _LOG_CALLS) if has_log_handler else (_TEXTS, _TEXTS_CALLS)
    return _LISTS + code, {**calls, "MAX_BYTES": str(_MAX_BYTES)}
