//! Converts ONNX Runtime's errors into [`EngineError`].

use muster_actors::ports::engine::EngineError;
use ort::ErrorCode;

/// The kind of an error by its message, where the code does not tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum MessageKind {
    OutOfMemory,
    DeviceLost,
    Misconfigured,
}

/// Parts of messages in lower case; the first that occurs decides. Running out of memory has no code of its own: it is
/// a GenericFailure from an arena, and a RuntimeException from the system's allocator.
const MESSAGES: [(&str, MessageKind); 25] = [
    ("failed to allocate memory", MessageKind::OutOfMemory),
    ("available memory of", MessageKind::OutOfMemory),
    ("bad_alloc", MessageKind::OutOfMemory),
    ("bad allocation", MessageKind::OutOfMemory),
    ("out of memory", MessageKind::OutOfMemory),
    ("out_of_memory", MessageKind::OutOfMemory),
    ("outofmemory", MessageKind::OutOfMemory),
    ("alloc_failed", MessageKind::OutOfMemory),
    ("cudaerrormemoryallocation", MessageKind::OutOfMemory),
    ("uncorrectable ecc", MessageKind::DeviceLost),
    ("fallen off the bus", MessageKind::DeviceLost),
    ("gpu is lost", MessageKind::DeviceLost),
    ("device lost", MessageKind::DeviceLost),
    ("busy or unavailable", MessageKind::DeviceLost),
    ("no cuda-capable device", MessageKind::DeviceLost),
    ("cuda failure 999", MessageKind::DeviceLost),
    ("cuda driver version is insufficient", MessageKind::Misconfigured),
    ("forward compatibility was attempted", MessageKind::Misconfigured),
    ("invalid device ordinal", MessageKind::Misconfigured),
    ("no kernel image is available", MessageKind::Misconfigured),
    ("is not enabled in this build", MessageKind::Misconfigured),
    ("failed to load shared library", MessageKind::Misconfigured),
    ("cannot open shared object", MessageKind::Misconfigured),
    ("got invalid dimensions for input", MessageKind::Misconfigured),
    ("invalid rank for input", MessageKind::Misconfigured),
];

/// Classifies an error of ONNX Runtime.
pub fn classify<R>(error: &ort::Error<R>) -> EngineError {
    by_code_and_message(error.code(), error.message())
}

fn by_code_and_message(code: ErrorCode, message: &str) -> EngineError {
    let text = message.trim().to_string();
    let lower = text.to_lowercase();
    match MESSAGES.iter().find(|(part, _)| lower.contains(part)).map(|(_, kind)| kind) {
        Some(MessageKind::OutOfMemory) => return EngineError::OutOfMemory(text),
        Some(MessageKind::DeviceLost) => return EngineError::DeviceLost(text),
        Some(MessageKind::Misconfigured) => return EngineError::Misconfigured(text),
        None => {}
    }
    match code {
        // The file is not a model, or the model does not fit this runtime or the manifest.
        ErrorCode::NoSuchFile
        | ErrorCode::NoModel
        | ErrorCode::InvalidProtobuf
        | ErrorCode::InvalidGraph
        | ErrorCode::InvalidArgument
        | ErrorCode::NotImplemented => EngineError::Misconfigured(text),
        ErrorCode::DeviceReset => EngineError::DeviceLost(text),
        // These are GenericFailure, RuntimeException, EPFail, and codes of later versions.
        _ => EngineError::Sticky(text),
    }
}

#[cfg(test)]
mod tests {
    use muster_actors::domain::exit::Remedy;
    use muster_actors::errors::Class;
    use muster_actors::errors::class::Classified;

    use super::*;

    #[derive(serde::Deserialize)]
    struct Seen {
        code: String,
        text: String,
        class: String,
    }

    fn code(name: &str) -> ErrorCode {
        match name {
            "GenericFailure" => ErrorCode::GenericFailure,
            "InvalidArgument" => ErrorCode::InvalidArgument,
            "NoSuchFile" => ErrorCode::NoSuchFile,
            "NoModel" => ErrorCode::NoModel,
            "EngineError" => ErrorCode::EngineError,
            "RuntimeException" => ErrorCode::RuntimeException,
            "InvalidProtobuf" => ErrorCode::InvalidProtobuf,
            "NotImplemented" => ErrorCode::NotImplemented,
            "InvalidGraph" => ErrorCode::InvalidGraph,
            "ExecutionProviderFailure" => ErrorCode::ExecutionProviderFailure,
            other => panic!("{other}"),
        }
    }

    #[test]
    fn messages_that_others_saw_find_their_class() {
        #[derive(serde::Deserialize)]
        struct List {
            message: Vec<Seen>,
        }
        let list: List = toml::from_str(include_str!("../../../tests/fixtures/onnxruntime-messages.toml")).unwrap();
        assert!(list.message.len() >= 50);
        for seen in list.message {
            let expected = match seen.class.as_str() {
                "overload" => Class::Overload,
                "engine" => Class::Engine,
                "host_fault" => Class::HostFault,
                "misconfigured" => Class::Misconfigured(Remedy::Model),
                other => panic!("{other}"),
            };
            assert_eq!(by_code_and_message(code(&seen.code), &seen.text).class(), expected, "{}", seen.text);
        }
    }

    /// The forms that these messages would have; nobody was seen to quote them.
    #[test]
    fn messages_and_codes_that_nobody_quoted_find_their_class() {
        use ErrorCode::{GenericFailure, InvalidArgument, InvalidProtobuf, NotImplemented, RuntimeException};
        let table = [
            (
                RuntimeException,
                "Non-zero status code returned while running Conv node. Name:'c' Status Message: std::bad_alloc",
                Class::Overload,
            ),
            (
                GenericFailure,
                "/onnxruntime_src/onnxruntime/core/framework/bfc_arena.cc:376 void* onnxruntime::BFCArena::AllocateRawInternal(size_t, bool, onnxruntime::Stream*) Failed to allocate memory for requested buffer of size 137438953472",
                Class::Overload,
            ),
            (
                GenericFailure,
                "BFCArena::AllocateRawInternal Available memory of 1073741824 is smaller than requested bytes of 2147483648",
                Class::Overload,
            ),
            (
                RuntimeException,
                "CUDA error executing cudaMalloc: CUDA failure 2: out of memory ; GPU=0",
                Class::Overload,
            ),
            (GenericFailure, "CUDNN failure 4: CUDNN_STATUS_ALLOC_FAILED ; GPU=0", Class::Overload),
            (GenericFailure, "CUBLAS failure 3: CUBLAS_STATUS_ALLOC_FAILED ; GPU=0", Class::Overload),
            (GenericFailure, "[TensorRT] Error Code 2: OutOfMemory (Requested size was 4096 bytes.)", Class::Overload),
            (GenericFailure, "CUDA failure 700: an illegal memory access was encountered ; GPU=0", Class::Engine),
            (GenericFailure, "CUDA failure 719: unspecified launch failure ; GPU=0", Class::Engine),
            (GenericFailure, "CUDA failure 214: uncorrectable ECC error encountered ; GPU=0", Class::HostFault),
            (
                GenericFailure,
                "CUDA failure 46: all CUDA-capable devices are busy or unavailable ; GPU=0",
                Class::HostFault,
            ),
            (GenericFailure, "CUDA failure 100: no CUDA-capable device is detected ; GPU=0", Class::HostFault),
            (
                GenericFailure,
                "CUDA failure 35: CUDA driver version is insufficient for CUDA runtime version ; GPU=0",
                Class::Misconfigured(Remedy::Model),
            ),
            (
                GenericFailure,
                "Failed to load library libonnxruntime_providers_cuda.so with error: libcublasLt.so.12: cannot open shared object file: No such file or directory",
                Class::Misconfigured(Remedy::Model),
            ),
            (
                InvalidArgument,
                "Got invalid dimensions for input: data for the following indices index: 2 Got: 100 Expected: 112",
                Class::Misconfigured(Remedy::Model),
            ),
            (
                InvalidProtobuf,
                "Load model from memory failed:Protobuf parsing failed.",
                Class::Misconfigured(Remedy::Model),
            ),
            (
                NotImplemented,
                "Could not find an implementation for Gelu(20) node with name 'g'",
                Class::Misconfigured(Remedy::Model),
            ),
            (RuntimeException, "Non-zero status code returned while running Reshape node.", Class::Engine),
        ];
        for (code, message, expected) in table {
            assert_eq!(by_code_and_message(code, message).class(), expected, "{message}");
        }
    }
}
