// A function in Rust with AWS's own runtime crate.
use lambda_runtime::{run, service_fn, Error, LambdaEvent};
use serde_json::{json, Value};

async fn handler(event: LambdaEvent<Value>) -> Result<Value, Error> {
    let (body, context) = event.into_parts();
    if body["fail"] == json!(true) {
        return Err("on purpose".into());
    }
    println!("seen {}", body["name"]);
    Ok(json!({
        "hello": body["name"].as_str().unwrap_or("nobody").to_uppercase(),
        "function": context.env_config.function_name,
        "arn": context.invoked_function_arn,
        "deadline": context.deadline > 0,
        "id": context.request_id.len(),
    }))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    run(service_fn(handler)).await
}
