//! What a topic is now: there or not, how many partitions, and which one of its name.
//!
//! In: a client, names. Out: what the cluster says. Holds: everything that librdkafka hands out is
//! destroyed once, here; nothing of it is kept. Knows nothing of: what was there before.
#![expect(
    unsafe_code,
    reason = "rust-rdkafka can't tell a topic's id; each block says why it is sound"
)]

use std::ffi::{CString, c_char};
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::client::Client;
use rdkafka_sys as sys;
use rdkafka_sys::rd_kafka_AclOperation_t as Operation;
use rdkafka_sys::rd_kafka_resp_err_t as Code;

/// A topic, as the cluster describes it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Topic {
    /// There is none of this name.
    Missing,
    /// It is there.
    Here {
        /// How many partitions it has.
        partitions: usize,
        /// Which one of its name it is; 0 where the cluster doesn't say.
        id: (i64, i64),
        /// Whether the user who asks may write to it, where that was asked and the cluster says it.
        writable: Option<bool>,
    },
}

/// Whether the cluster is asked what the user may do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Rights {
    Asked,
    Unasked,
}

/// What librdkafka makes for one question, destroyed in the order that it wants.
struct Question {
    queue: *mut sys::rd_kafka_queue_t,
    options: *mut sys::rd_kafka_AdminOptions_t,
    names: *mut sys::rd_kafka_TopicCollection_t,
    answer: *mut sys::rd_kafka_event_t,
}

impl Drop for Question {
    fn drop(&mut self) {
        // SAFETY: each came from librdkafka and is destroyed once, the answer before its queue; all of
        // these calls but the last two take null.
        unsafe {
            if !self.answer.is_null() {
                sys::rd_kafka_event_destroy(self.answer);
            }
            sys::rd_kafka_TopicCollection_destroy(self.names);
            sys::rd_kafka_AdminOptions_destroy(self.options);
            sys::rd_kafka_queue_destroy(self.queue);
        }
    }
}

/// Describes topics, in order; `None` if the cluster doesn't answer in time, or may not say.
///
/// A broker that has just answered is asked: librdkafka would ask the controller, which may be away
/// while each topic has its leaders, and the embedded broker has none.
pub(super) fn describe(
    client: &Client<impl ClientContext>,
    topics: &[String],
    deadline: Duration,
    rights: Rights,
) -> Option<Vec<Topic>> {
    let metadata = client.fetch_metadata(topics.first().map(String::as_str), deadline).ok()?;
    let broker = metadata.orig_broker_id();
    let names: Vec<CString> =
        topics.iter().map(|name| CString::new(name.as_str())).collect::<Result<_, _>>().ok()?;
    let mut pointers: Vec<*const c_char> = names.iter().map(|name| name.as_ptr()).collect();
    let wait = i32::try_from(deadline.as_millis()).ok()?;
    let client = client.native_ptr();
    let api = sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS;
    // SAFETY: the client is alive as long as the reference to it; the names live until the end of this function,
    // and librdkafka copies them; none of these calls returns null for a live client. What is wrong with
    // an option isn't looked at: an invalid one leaves the default, and its error may be null.
    let mut question = unsafe {
        let question = Question {
            queue: sys::rd_kafka_queue_new(client),
            options: sys::rd_kafka_AdminOptions_new(client, api),
            names: sys::rd_kafka_TopicCollection_of_topic_names(
                pointers.as_mut_ptr(),
                pointers.len(),
            ),
            answer: std::ptr::null_mut(),
        };
        let mut text: [c_char; 256] = [0; 256];
        sys::rd_kafka_AdminOptions_set_request_timeout(
            question.options,
            wait,
            text.as_mut_ptr(),
            text.len(),
        );
        sys::rd_kafka_AdminOptions_set_broker(
            question.options,
            broker,
            text.as_mut_ptr(),
            text.len(),
        );
        if rights == Rights::Asked {
            let error =
                sys::rd_kafka_AdminOptions_set_include_authorized_operations(question.options, 1);
            sys::rd_kafka_error_destroy(error);
        }
        sys::rd_kafka_DescribeTopics(client, question.names, question.options, question.queue);
        question
    };
    // SAFETY: the queue is alive; the answer is destroyed with the question.
    question.answer = unsafe { sys::rd_kafka_queue_poll(question.queue, wait) };
    if question.answer.is_null() {
        return None;
    }
    // SAFETY: the answer isn't null; the result and the array live as long as it, and the array holds
    // `count` descriptions.
    let described = unsafe {
        let result = sys::rd_kafka_event_DescribeTopics_result(question.answer);
        if result.is_null()
            || sys::rd_kafka_event_error(question.answer) != Code::RD_KAFKA_RESP_ERR_NO_ERROR
        {
            return None;
        }
        let mut count = 0;
        let first = sys::rd_kafka_DescribeTopics_result_topics(result, &raw mut count);
        if first.is_null() { &[] } else { std::slice::from_raw_parts(first, count) }
    };
    // SAFETY: each description lives as long as the answer.
    described.iter().map(|topic| unsafe { read(*topic) }).collect()
}

/// One topic's description; `None` if the cluster may not say.
///
/// # Safety
/// It must be alive.
unsafe fn read(topic: *const sys::rd_kafka_TopicDescription_t) -> Option<Topic> {
    // SAFETY: as this function's own contract; error, id and operations belong to the description, a null
    // error has the code of no error, and the operations are so many as was said.
    unsafe {
        match sys::rd_kafka_error_code(sys::rd_kafka_TopicDescription_error(topic)) {
            Code::RD_KAFKA_RESP_ERR_NO_ERROR => {}
            Code::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART => return Some(Topic::Missing),
            _ => return None,
        }
        let mut partitions = 0;
        sys::rd_kafka_TopicDescription_partitions(topic, &raw mut partitions);
        let id = sys::rd_kafka_TopicDescription_topic_id(topic);
        let id = if id.is_null() {
            (0, 0)
        } else {
            (
                sys::rd_kafka_Uuid_most_significant_bits(id),
                sys::rd_kafka_Uuid_least_significant_bits(id),
            )
        };
        let mut count = 0;
        let may = sys::rd_kafka_TopicDescription_authorized_operations(topic, &raw mut count);
        // As numbers: a newer cluster may know operations that these bindings don't.
        let may = (!may.is_null()).then(|| std::slice::from_raw_parts(may.cast::<u32>(), count));
        let writable =
            may.map(|may| may.contains(&(Operation::RD_KAFKA_ACL_OPERATION_WRITE as u32)));
        Some(Topic::Here { partitions, id, writable })
    }
}
